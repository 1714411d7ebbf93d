"""A page of one or several runs, with numbers that can be turned."""
