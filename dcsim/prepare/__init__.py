"""From a network's name to its compressed files and their traces: what needs models/, data and, mostly, torch."""

from dcsim.prepare.compressing import Compression, architecture, compress, compress_network
from dcsim.prepare.loading import SILENT, Listener, load_dataset, load_recipe, load_trained
from dcsim.prepare.tracing import synthetic_traces, trace, trace_variants

__all__ = [
    "SILENT",
    "Compression",
    "Listener",
    "architecture",
    "compress",
    "compress_network",
    "load_dataset",
    "load_recipe",
    "load_trained",
    "synthetic_traces",
    "trace",
    "trace_variants",
]
