"""dcsim: what a neural network costs on a mobile chip in joules, watts and milliseconds, before and after compression.

compression = dcsim.compress("lenet-300-100")
result = dcsim.simulate(dcsim.trace("lenet-300-100", "huffman"), "mobile45", fps=20)
verdict = dcsim.check(result, "phone")
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["check", "compress", "load_trace", "simulate", "trace"]

if TYPE_CHECKING:
    from dcsim.explore.budget import check
    from dcsim.prepare import compress, load_trace, trace
    from dcsim.simulation.simulate import simulate

_HOMES = {
    "check": "dcsim.explore.budget",
    "compress": "dcsim.prepare",
    "load_trace": "dcsim.prepare",
    "simulate": "dcsim.simulation.simulate",
    "trace": "dcsim.prepare",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """The public verbs, imported when first used: `import dcsim` alone loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dcsim' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
