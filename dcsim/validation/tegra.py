"""Time, power and gain of pruning on a real mobile GPU beside what dcsim finds on the chip `tegra-k1`.

Deep Compression (Han, Mao, Dally, ICLR 2016, arXiv 1510.00149), Tables 8 and 9: a Tegra K1, batch 1, the six
fully-connected layers of AlexNet and VGG-16, dense by cuBLAS and pruned by cuSPARSE, whose CSR has 4 bytes of column
beside 4 bytes of value. Power is that of processor and DRAM together, back to back: at the sustainable frame rate.

Four numbers of the chip are calibrated on these tables, one set for all rows: bursts in flight, entries a cycle, power
of the clock, energy of an entry. The rest of each row follows. The two dense fc8 got 60 % of the bandwidth of the
others, presumably because 1000 outputs do not fill the GPU; nothing in the chip says so, and both come out 40 % too
fast.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.sparse_formats import priced_as
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from dcsim.units import ps_to_s
from dcsim.zoo import find_network

DATA = Path(__file__).parent / "data"
#: dense layers with 1000 outputs, which got 60 % of the bandwidth of those with 4096
TOO_FEW_OUTPUTS = ("Alex-8", "VGG-8")


@dataclass(frozen=True)
class TegraRow:
    """One printed figure and ours.

    Attributes:
        layer: as EIE calls it.
        quantity: `dense_s`, `pruned_s`, `dense_watts`, `pruned_watts`, or `energy_gain`, dense energy over pruned.
    """

    layer: str
    quantity: str
    reference: float
    found: float

    @property
    def error(self) -> float:
        """Relative to the reference."""
        return self.found / self.reference - 1


def tegra_table(soc: SocSpec | str = "tegra-k1") -> tuple[TegraRow, ...]:
    """Five figures of each of the six layers."""
    soc = load_soc(soc) if isinstance(soc, str) else soc
    return tuple(found for row in _reference() for found in _rows(soc, row))


def mean_gain(rows: Iterable[TegraRow]) -> TegraRow:
    """The geometric mean of the gains of pruning."""
    gains = [row for row in rows if row.quantity == "energy_gain"]
    reference, found = (
        math.prod(values) ** (1 / len(gains))
        for values in ([row.reference for row in gains], [row.found for row in gains])
    )
    return TegraRow("geometric mean", "energy_gain", reference, found)


def layer_traces(network: str) -> dict[str, Trace]:
    """A layer's dense weights, and its nonzeros as CSR."""
    spec = find_network(network).spec
    assert spec is not None
    return {"dense": synthesize(spec, "dense"), "pruned": priced_as(synthesize(spec, "pruned"), "csr")}


def back_to_back(trace: Trace, soc: SocSpec) -> RunResult:
    """Frames that follow each other without a pause."""
    return simulate(trace, soc, simulate(trace, soc, fps=1).sustainable_fps)


def _rows(soc: SocSpec, row: dict[str, str]) -> Iterator[TegraRow]:
    printed_j, found_j = [], []
    for kind, trace in layer_traces(row["network"]).items():
        result = back_to_back(trace, soc)
        printed_s, found_s = float(f"{row[f'{kind}_us']}e-6"), ps_to_s(result.service_ps)
        printed_watts, found_watts = float(row[f"{kind}_watts"]), result.average_power_watts
        yield TegraRow(row["layer"], f"{kind}_s", printed_s, found_s)
        yield TegraRow(row["layer"], f"{kind}_watts", printed_watts, found_watts)
        printed_j.append(printed_s * printed_watts)
        found_j.append(found_s * found_watts)
    yield TegraRow(row["layer"], "energy_gain", printed_j[0] / printed_j[1], found_j[0] / found_j[1])


def _reference() -> list[dict[str, str]]:
    with (DATA / "tegra_k1.csv").open(newline="") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))
