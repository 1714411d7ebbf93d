"""What a network does, layer by layer: the Trace, and the ways to make one."""
