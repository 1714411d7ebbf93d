"""Lossless bits: Huffman codes, relative indices and fixed-width fields. Knows arrays, not networks."""
