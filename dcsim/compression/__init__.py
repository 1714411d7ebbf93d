"""The Deep Compression pipeline: prune, share, train, and write a real file after every stage."""
