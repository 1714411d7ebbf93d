"""From a network's name to its compressed files and their traces: what needs models/, data and, mostly, torch."""

from dcsim.prepare.as_they_are import load_inputs, unknown_operators
from dcsim.prepare.compressing import Comparison, Compression, architecture, compress, compress_network
from dcsim.prepare.loading import SILENT, Listener, load_dataset, load_examples, load_recipe, load_trace, load_trained
from dcsim.prepare.tracing import post_training_traces, synthetic_traces, trace, trace_variants

__all__ = [
    "SILENT",
    "Comparison",
    "Compression",
    "Listener",
    "architecture",
    "compress",
    "compress_network",
    "load_dataset",
    "load_examples",
    "load_inputs",
    "load_recipe",
    "load_trace",
    "load_trained",
    "post_training_traces",
    "synthetic_traces",
    "trace",
    "trace_variants",
    "unknown_operators",
]
