"""Pictures by matplotlib, as wide as a column of text. Results offer them as their `plot`."""
