"""One run: a Trace replayed on a SoC. Sees traces and chips, never weights or files."""
