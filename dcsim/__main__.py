"""`python -m dcsim`."""

from dcsim.cli import main

main()
