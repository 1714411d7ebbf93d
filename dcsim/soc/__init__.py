"""Physics of the chip as pure functions: counts in, picoseconds and picojoules out. Knows no network."""
