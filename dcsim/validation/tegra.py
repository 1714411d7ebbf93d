"""Time, power and gain of pruning on a real mobile GPU beside what dcsim finds on the chip `tegra-k1`.

Deep Compression (Han, Mao, Dally, ICLR 2016, arXiv 1510.00149), Tables 8 and 9: a Tegra K1, batch 1, the six
fully-connected layers of AlexNet and VGG-16, dense by cuBLAS and pruned by cuSPARSE, whose CSR has 4 bytes of column
beside 4 bytes of value. Power is that of processor and DRAM together, back to back: at the sustainable frame rate.

Four numbers of the chip are calibrated on these tables, one set for all rows: bursts in flight, entries a cycle, power
of the clock, energy of an entry. The rest of each row follows. The two dense fc8 got 60 % of the bandwidth of the
others, presumably because 1000 outputs do not fill the GPU; nothing in the chip says so, and both come out 40 % too
fast.
"""

from collections.abc import Iterable, Iterator
from statistics import geometric_mean

from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.sparse_formats import priced_as
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from dcsim.units import ps_to_s
from dcsim.validation.comparison import Comparison, n_within, of, reference_rows
from dcsim.zoo import find_network

TABLE = "Tegra K1, Deep Compression, Tables 8 and 9: batch 1"
GAIN = "energy gain of pruning"
TIME_TOLERANCE, POWER_TOLERANCE, GAIN_TOLERANCE = 0.15, 0.15, 0.20
N_TIMES = 4  # of six
#: times that do not follow from weights, densities and bandwidth
OUTLIERS = {
    ("dense", "Alex-8"): "1000 outputs got 60 % of the bandwidth",
    ("dense", "VGG-8"): "1000 outputs got 60 % of the bandwidth",
    ("pruned", "VGG-6"): "its CSR got 7.5 GB/s, the others 8.6 to 10.1",
}


def tegra_table(soc: SocSpec | str = "tegra-k1") -> tuple[Comparison, ...]:
    """Five figures of each of the six layers, times on four of six, and the geometric mean of the gains."""
    soc = load_soc(soc) if isinstance(soc, str) else soc
    rows = tuple(found for row in reference_rows("tegra_k1.csv") for found in _rows(soc, row))
    within = (n_within(of(rows, f"{kind} time"), TIME_TOLERANCE, N_TIMES) for kind in ("dense", "pruned"))
    return (*rows, *within, mean_gain(rows))


def mean_gain(rows: Iterable[Comparison]) -> Comparison:
    """The geometric mean of the gains of pruning."""
    gains = of(rows, GAIN)
    reference, found = (geometric_mean([getattr(row, side) for row in gains]) for side in ("reference", "found"))
    return Comparison(TABLE, "geometric mean", GAIN, "x", reference, found, GAIN_TOLERANCE)


def layer_traces(network: str) -> dict[str, Trace]:
    """A layer's dense weights, and its nonzeros as CSR."""
    spec = find_network(network).spec
    assert spec is not None
    return {"dense": synthesize(spec, "dense"), "pruned": priced_as(synthesize(spec, "pruned"), "csr")}


def back_to_back(trace: Trace, soc: SocSpec) -> RunResult:
    """Frames that follow each other without a pause."""
    return simulate(trace, soc, simulate(trace, soc, fps=1).sustainable_fps)


def _rows(soc: SocSpec, row: dict[str, str]) -> Iterator[Comparison]:
    name, printed_j, found_j = row["layer"], [], []
    for kind, trace in layer_traces(row["network"]).items():
        result = back_to_back(trace, soc)
        printed_s, found_s = float(f"{row[f'{kind}_us']}e-6"), ps_to_s(result.service_ps)
        printed_watts, found_watts = float(row[f"{kind}_watts"]), result.average_power_watts
        why = OUTLIERS.get((kind, name), "")
        yield Comparison(TABLE, name, f"{kind} time", "s", printed_s, found_s, None if why else TIME_TOLERANCE, why)
        yield Comparison(TABLE, name, f"{kind} power", "W", printed_watts, found_watts, POWER_TOLERANCE)
        printed_j.append(printed_s * printed_watts)
        found_j.append(found_s * found_watts)
    gains = (printed_j[0] / printed_j[1], found_j[0] / found_j[1])
    yield Comparison(TABLE, name, GAIN, "x", *gains, None, "the geometric mean decides")
