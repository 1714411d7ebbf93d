"""What tracing costs beside one plain forward pass of the same network on the same input: time and memory.

    python -m benchmarks.tracing [NAME ...]

Networks are those of tests/architectures.py with random weights, half of which are zero. `capture` counts every
operator of the exported network on real tensors; `forward` is the network alone. Times are the least of several, taken
in turns; memory is the most that a fresh process held, less what it held before.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from dcsim.traces.capture import capture, export
from dcsim.traces.inputs import Inputs
from dcsim.traces.stored import StoredNetwork, plain_weight
from tests.architectures import ARCHITECTURES, Architecture

N_ROUNDS = 3


def prepared(architecture: Architecture) -> tuple[torch.nn.Module, Inputs, StoredNetwork]:
    """The network, pruned to half of its weights, its input, and where its weights would lie."""
    torch.manual_seed(0)
    model, inputs = architecture.build().eval(), Inputs.of(tuple(architecture.inputs()))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= parameter > 0
    weights = {name: plain_weight(name, tensor.numel()) for name, tensor in model.named_parameters()}
    n_bytes = sum(weight.n_bytes for weight in weights.values())
    return model, inputs, StoredNetwork(architecture.name, "dense", weights, architecture.n_parameters, n_bytes, "")


def timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def seconds(architecture: Architecture) -> dict[str, float]:
    """Least times of a forward pass, of following the network, and of counting."""
    model, inputs, stored = prepared(architecture)
    positional = inputs.positional

    def forward() -> None:
        with torch.no_grad():
            model(*positional)

    forward()
    followed = timed(lambda: export(model, inputs))
    program = export(model, inputs)
    rounds = [(timed(forward), timed(lambda: capture(program, stored, inputs, None))) for _ in range(N_ROUNDS)]
    return {
        "forward": min(first for first, _ in rounds),
        "export": followed,
        "capture": min(second for _, second in rounds),
    }


def memory(architecture: Architecture, what: str) -> int:
    """Bytes that a forward pass, or tracing, holds at most beside the network's own weights; in this process."""
    model, inputs, stored = prepared(architecture)
    positional = inputs.positional
    program = export(model, inputs) if what == "capture" else None
    Path("/proc/self/clear_refs").write_text("5")  # the peak of building it does not count
    before = resident_bytes()
    if program is None:
        with torch.no_grad():
            model(*positional)
    else:
        capture(program, stored, inputs, None)
    return peak_bytes() - before


def resident_bytes() -> int:
    """What this process holds now (Linux)."""
    return 1024 * int(_status("VmRSS"))


def peak_bytes() -> int:
    """What this process held at most (Linux)."""
    return 1024 * int(_status("VmHWM"))


def _status(key: str) -> str:
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return found[1]


def measured_apart(name: str, what: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tracing", "--memory", name, what], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def main() -> None:
    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    if sys.argv[1:2] == ["--memory"]:
        print(memory(known[sys.argv[2]], sys.argv[3]))
        return
    headings = "".join(f"{heading:>10}" for heading in ("forward", "export", "capture"))
    print(f"{'network':<20}{headings}{'ratio':>8}{'peak of forward':>17}{'of capture':>12}")
    for name in sys.argv[1:] or known:
        times = seconds(known[name])
        plain, traced = (measured_apart(name, what) for what in ("forward", "capture"))
        print(
            f"{name:<20}{times['forward']:>8.2f} s{times['export']:>8.2f} s{times['capture']:>8.2f} s"
            f"{times['capture'] / times['forward']:>8.1f}{plain / 1e6:>14.0f} MB{traced / 1e6:>9.0f} MB"
        )


if __name__ == "__main__":
    main()
