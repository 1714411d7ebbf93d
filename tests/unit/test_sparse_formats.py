"""Do pruned weights take what libraries of CPUs and GPUs take for them?"""

import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from dcsim.artifact import pack
from dcsim.compression.pipeline import state_weights
from dcsim.errors import ConfigError
from dcsim.prepare import trace
from dcsim.simulation.placement import place
from dcsim.soc.spec import load_soc
from dcsim.traces.capture import capture, export
from dcsim.traces.sparse_formats import priced_as
from dcsim.traces.trace import Trace
from tests.unit.test_capture import noise, pruned


def traced(variant: str = "pruned") -> Trace:
    model, inputs = pruned(nn.Sequential(nn.Conv2d(2, 8, 3), nn.Flatten(), nn.Linear(128, 20)), 0.1), noise(1, 2, 6, 6)
    return capture(export(model, inputs), pack("toy", variant, state_weights(model)), inputs, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("sparse_format", ["csr", "csc"])
def test_a_value_and_a_position_for_each_nonzero_and_a_pointer_for_each_row_or_column(sparse_format: str) -> None:
    before = traced()
    after = priced_as(before, sparse_format)  # type: ignore[arg-type]
    for layer, n_lines in zip(after.layers, {"csr": (8, 20), "csc": (18, 128)}[sparse_format], strict=True):
        matrix = 8 * layer.n_weights_nonzero + 4 * (n_lines + 1)
        assert layer.stored_bytes == layer.read_bytes == matrix + 4 * layer.n
        assert sum(-(-block.n_bits // 8) for block in layer.blocks) == layer.read_bytes
        assert layer.n_entries == layer.n_weights_nonzero
    assert after.header_bytes + sum(layer.stored_bytes for layer in after.layers) == after.file_bytes
    assert [layer.n_macs_nonzero for layer in after.layers] == [layer.n_macs_nonzero for layer in before.layers]


def test_it_is_the_matrix_that_scipy_makes() -> None:
    weight = noise(20, 30, density=0.2)
    sparse = csr_array(weight)
    model = nn.Linear(30, 20, bias=False)
    model.weight.data = torch.from_numpy(weight)
    stored = pack("toy", "pruned", state_weights(model))
    (layer,) = priced_as(capture(export(model, noise(1, 30)), stored, noise(1, 30), None), "csr").layers
    counts = {"values": sparse.data, "indices": sparse.indices, "pointers": sparse.indptr}
    assert {block.stream: block.n_symbols for block in layer.blocks} == {name: len(t) for name, t in counts.items()}


@pytest.mark.parametrize("soc", ["paper45", "mobile45"])
def test_arrays_take_it(soc: str) -> None:
    plans = place(priced_as(traced(), "csr"), load_soc(soc)).layers
    assert all(plan.decodes and plan.work.n_macs > 0 for plan in plans)
    skipping = soc == "paper45"  # its array takes nonzeros alone
    for plan in plans:
        dense = plan.layer.n_macs_dense
        assert plan.work.n_macs == (plan.layer.n_weights_nonzero * plan.layer.m if skipping else dense)


def test_alexnet_fc6_takes_twice_its_values_and_more_than_gaps() -> None:
    # Deep Compression, section 6.2: CSR needs a 32-bit column for each value; 9 % of 37.7 million weights
    gaps = trace("alexnet", "pruned")
    (csr,) = [layer for layer in priced_as(gaps, "csr").layers if layer.name == "fc6"]
    (relative,) = [layer for layer in gaps.layers if layer.name == "fc6"]
    assert csr.stored_bytes == 8 * csr.n_weights_nonzero + 4 * 4097
    assert csr.stored_bytes / (0.09 * 37_748_736 * 8) == pytest.approx(1, abs=0.01)
    # 64 bits a value against 36, and fillers: 1 / (1 - 0.91^16) entries for a nonzero
    assert csr.stored_bytes / relative.stored_bytes == pytest.approx(64 / 36 * (1 - 0.91**16), rel=0.01)


def test_other_variants_are_refused() -> None:
    with pytest.raises(ConfigError, match="only the pruned variant can lie as csr, this trace is of huffman"):
        priced_as(traced("huffman"), "csr")
