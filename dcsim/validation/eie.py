"""EIE's nine layers (Han et al., ISCA 2016, arXiv 1602.01528, Tables III and IV) beside dcsim's sparse array.

Weights and activations are drawn at the printed densities, which are rounded to 1 % and 0.1 %, each nonzero independent
of all others. Real layers are not so: Alex-8 and VGG-6 take longer than their printed densities account for.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dcsim.soc import sparse_array
from dcsim.soc.array_spec import SparseArray
from dcsim.soc.pe_array import event_counts, event_energies_pj
from dcsim.soc.sparse_array import SparseWork
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.tables import LinearSpec
from dcsim.traces.drawn import drawn_columns, drawn_weight
from dcsim.units import cycles_to_ps, mw_to_watts, ps_to_s, watts_from_pj
from dcsim.zoo import find_network

DATA = Path(__file__).parent / "data"
POWER_WATTS = 0.6  # energy in EIE's Figure 7 over actual time in Table IV, on the six layers below
WITH_ENERGY = ("Alex-6", "Alex-7", "Alex-8", "VGG-6", "VGG-7", "VGG-8")
#: layers whose theoretical time does not follow from their printed densities: ours is 16 % and 18 % shorter
OUTLIERS = ("Alex-8", "VGG-6")


@dataclass(frozen=True)
class EieRow:
    """One printed figure and ours.

    Attributes:
        layer: as EIE calls it.
        quantity: `theoretical_s`, `actual_s`, or `power_watts` while the layer runs.
    """

    layer: str
    quantity: str
    reference: float
    found: float

    @property
    def error(self) -> float:
        """Relative to the reference."""
        return self.found / self.reference - 1


def eie_table(soc: SocSpec | str = "eie64") -> tuple[EieRow, ...]:
    """Both times of all nine layers on a chip with a sparse array, and the power of the six that EIE prints."""
    soc = load_soc(soc) if isinstance(soc, str) else soc
    assert isinstance(soc.array, SparseArray)
    return tuple(found for row in _reference() for found in _rows(soc, soc.array, row))


def layer_work(array: SparseArray, network: str) -> SparseWork:
    """Work of the one layer of a network such as `eie-alex-6`, its zeros drawn."""
    spec = find_network(network).spec
    assert spec is not None
    (layer,) = spec.layers
    assert isinstance(layer, LinearSpec)
    seed = spec.seed or 0
    return sparse_array.work(
        array, 1, 1, layer.n_outputs, layer.n_inputs, drawn_weight(layer, seed).bitmap, drawn_columns(layer, seed)
    )


def energy_pj(soc: SocSpec, work: SparseWork) -> float:
    """Energy of a layer while it runs [pJ]: that of each event, and the power of logic and memories all along."""
    array_work = work.array_work()
    counts, energies = event_counts(soc.array, array_work), event_energies_pj(soc.array)
    static_mw = soc.logic.clock_mw + soc.logic.leakage_mw + soc.always_on_mw
    static_pj = mw_to_watts(static_mw) * cycles_to_ps(work.n_cycles, soc.clock_hz)
    return static_pj + sum(counts[event] * pj_each for event, (_, pj_each) in energies.items())


def _rows(soc: SocSpec, array: SparseArray, row: dict[str, str]) -> Iterator[EieRow]:
    name, work = row["layer"], layer_work(array, row["network"])
    for column, n_cycles in (("theoretical", work.n_cycles_theoretical), ("actual", work.n_cycles)):
        printed_s = float(f"{row[f'{column}_us']}e-6")
        yield EieRow(name, f"{column}_s", printed_s, ps_to_s(cycles_to_ps(n_cycles, soc.clock_hz)))
    if name in WITH_ENERGY:
        time_s = ps_to_s(cycles_to_ps(work.n_cycles, soc.clock_hz))
        yield EieRow(name, "power_watts", POWER_WATTS, watts_from_pj(energy_pj(soc, work), time_s))


def _reference() -> list[dict[str, str]]:
    with (DATA / "eie_layers.csv").open(newline="") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))
