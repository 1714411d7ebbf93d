"""What does a network of 10^9 weights cost to compress? `python -m benchmarks.billion [FOLDER]`, half a minute, 4 GB.

Writes 20 tensors of 50 million Gaussian fp32 weights to a safetensors file in FOLDER (by default a temporary one)
unless it is there, then runs `dcsim compress --post-training` on it, twice, so that the page cache is warm and numba's
too, and reports CPU time and the peak of anonymous memory of the second run.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dcsim.checkpoint import write_checkpoint

N_TENSORS, SHAPE = 20, (10_000, 5_000)
JOBS = {
    "10 % kept, 5-bit codes": ["--prune-density", "0.1", "--codebook-bits", "5"],
    "all kept, 8-bit codes": [],
}
ASKED = "asked: at most 6 s, 400 MB"


def weights_file(folder: Path) -> Path:
    """The file of weights, made if it is not there."""
    path = folder / "billion.safetensors"
    if not path.exists():
        generator = np.random.default_rng(0)
        names = {f"layers.{index}.weight": SHAPE for index in range(N_TENSORS)}
        write_checkpoint(path, names, lambda name: generator.standard_normal(SHAPE, np.float32) * np.float32(0.02))
    return path


def compress(weights: Path, output: Path, options: list[str]) -> tuple[float, float, int]:
    """CPU time [s], peak anonymous memory [MB], and size of the file."""
    command = ["-m", "dcsim", "compress", "--weights", str(weights), "--post-training", "-o", str(output), *options]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak_kib = 0
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        peak_kib = max(peak_kib, int(lines.get("RssAnon", "0 kB").split()[0]))
        time.sleep(0.005)
    if process.returncode:
        raise SystemExit(f"dcsim compress failed with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, peak_kib * 1024 / 1e6, output.stat().st_size


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        weights = weights_file(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary))
        output = Path(temporary) / "billion.dcz"
        for name, options in JOBS.items():
            compress(weights, output, options)
            cpu_s, peak_mb, n_bytes = compress(weights, output, options)
            ratio = N_TENSORS * SHAPE[0] * SHAPE[1] * 4 / n_bytes
            print(f"10^9 weights, {name}: {cpu_s:.2f} s CPU, {peak_mb:.0f} MB ({ASKED}), {ratio:.1f}x", flush=True)


if __name__ == "__main__":
    main()
