"""Are language models of the size that is published, and do their step's bytes and energy follow from it?"""

import numpy as np
import pytest

import dcsim
from dcsim.compression.plan import PostTraining
from dcsim.compression.post_training import compress_tensor
from dcsim.prepare import trace
from dcsim.zoo import find_network

#: parameters, of which the names give the rounded number
PUBLISHED = {
    "llama-2-7b": 6_738_415_616,  # Touvron et al., arXiv 2307.09288, as the published weights have it
    "tinyllama-1.1b": 1_100_048_384,  # Zhang et al., arXiv 2401.02385
    "smollm-135m": 134_515_008,  # Hugging Face, SmolLM-135M
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_published(name: str) -> None:
    spec = find_network(name).spec
    assert spec
    assert spec.decoder
    assert spec.decoder.n_parameters == PUBLISHED[name]


def test_gaussian_weights_in_fifteen_optimal_values_take_3_72_bits_after_huffman_coding() -> None:
    weights = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    coded = compress_tensor("w", weights, PostTraining(code_bits=4, centroids="optimal"))
    codes = [block for block in coded.blocks if block.stream == "codes"]
    mean_bits = sum(block.n_bits for block in codes) / sum(block.n_symbols for block in codes)
    assert round(mean_bits, 2) == 3.72
    spec = find_network("llama-2-7b").spec
    assert spec
    assert spec.weights
    assert spec.weights.huffman_bits_per_code == 3.72


def test_a_token_of_llama_2_7b_reads_every_weight_once_and_the_cache() -> None:
    found = trace("llama-2-7b", "shared", context=1023)
    table = next(layer for layer in found.layers if layer.kind == "embedding")
    weights = sum(layer.read_bytes for layer in found.layers)
    # 4 bits a weight, of the table of words one row of 4096, and a codebook of 16 fp32 values for each of 226 matrices
    matrices = 6_738_415_616 - 65 * 4096
    assert weights == (matrices - (32000 - 1) * 4096) // 2 + 226 * 64 + 65 * 4096 * 2
    assert table.read_bytes == 4096 // 2 + 64
    assert sum(layer.n_state_inputs for layer in found.layers) == 2 * 32 * 1024 * 4096
    assert sum(layer.n_macs_dense for layer in found.layers) == matrices - 32000 * 4096 + 2 * 32 * 1024 * 4096


def test_joules_per_token_are_mostly_dram_at_640_pj_a_word() -> None:
    result = dcsim.simulate(trace("smollm-135m", "shared", context=255), "paper45", fps=1)
    read_bytes = 134_515_008 // 2 + 2 * 30 * 256 * 192 * 4  # 4-bit weights, keys and values in fp32
    from_dram_bytes = read_bytes - result.resident_bytes  # some layers stay in the chip's SRAM
    assert result.energy_pj_by_component["dram"] == pytest.approx(from_dram_bytes / 4 * 640, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"network": "lenet-5", "context": 5}, "no decoder"), ({"network": "smollm-135m", "tokens": 0}, "not possible")],
)
def test_steps_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(dcsim.errors.ConfigError, match=message):
        trace(variant="shared", **arguments)  # type: ignore[arg-type]
