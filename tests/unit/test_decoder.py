"""Is a language model's step what its dimensions say?"""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from dcsim.artifact import pack
from dcsim.compression.pipeline import state_weights
from dcsim.decoder import DecoderSpec, build_decoder
from dcsim.traces.capture import capture, export
from dcsim.traces.inputs import Inputs
from dcsim.traces.trace import Trace

SMALL = {"n_layers": 2, "width": 32, "n_heads": 4, "n_kv_heads": 2, "inner": 48, "n_words": 100}


def small(**changes: int) -> DecoderSpec:
    return DecoderSpec.model_validate({**SMALL, "n_context": 6, "n_tokens": 1, **changes})


def traced(spec: DecoderSpec) -> Trace:
    torch.manual_seed(0)
    model = build_decoder(spec)
    tokens = Inputs.of(np.arange(spec.n_tokens, dtype=np.int64)[None])
    return capture(export(model, tokens), pack("llm", "dense", state_weights(model)), tokens, None)


def test_parameters_are_those_of_llama_2_7b() -> None:
    spec = small(n_layers=32, width=4096, n_heads=32, n_kv_heads=32, inner=11008, n_words=32000)
    assert spec.n_parameters == 6_738_415_616  # Touvron et al., arXiv 2307.09288: 7B
    with torch.device("meta"):
        assert sum(p.numel() for p in build_decoder(spec).parameters()) == spec.n_parameters


@pytest.mark.parametrize("tied", [False, True])
def test_parameters_are_counted_by_hand(tied: bool) -> None:
    spec = DecoderSpec.model_validate({**SMALL, "tied": tied, "n_context": 0, "n_tokens": 3})
    # two blocks of q and o (32 x 32), k and v (32 x 16), gate, up, down (32 x 48), two norms; words, head, last norm
    blocks = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 2 * 32)
    assert spec.n_parameters == blocks + 100 * 32 * (1 if tied else 2) + 32
    assert sum(p.numel() for p in build_decoder(spec).parameters()) == spec.n_parameters


def test_a_step_reads_the_cache_and_writes_one_place_of_it() -> None:
    trace = traced(small())
    kept = 2 * 2 * 7 * 8  # keys and values of 2 heads, 7 tokens, 8 features
    assert sum(layer.n_state_inputs for layer in trace.layers) == 2 * kept  # in both layers
    assert sum(layer.n_state_outputs for layer in trace.layers) == 2 * 2 * 2 * 8
    per_layer = [2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48, 2 * 4 * 7 * 8]  # weights; scores and mix over 7 tokens
    assert sum(layer.n_macs_dense for layer in trace.layers) == 2 * sum(per_layer) + 100 * 32


def test_a_prompt_is_read_at_once_and_only_its_last_token_gets_an_answer() -> None:
    trace = traced(small(n_context=0, n_tokens=5))
    head = next(layer for layer in trace.layers if layer.name == "head")
    assert (head.m, head.n) == (1, 100)
    mix = next(layer for layer in trace.layers if layer.kind == "attention_mix")
    assert mix.n_macs_nonzero == 4 * 8 * (1 + 2 + 3 + 4 + 5)
    assert sum(layer.n_state_outputs for layer in trace.layers) == 2 * 2 * 2 * 5 * 8


def test_a_prompt_token_by_token_ends_where_it_does_at_once() -> None:
    torch.manual_seed(0)
    whole = build_decoder(small(n_context=0, n_tokens=4))
    tokens = torch.tensor([[5, 17, 3, 99]])
    with torch.no_grad():
        expected = whole(tokens)
        kept: dict[str, torch.Tensor] = {}
        for place in range(4):
            step = build_decoder(small(n_context=place, n_tokens=1))
            step.load_state_dict(whole.state_dict())
            for name, buffer in step.named_buffers():
                if name in kept:
                    buffer[:, :, :place] = kept[name][:, :, :place]
            found = step(tokens[:, place : place + 1])
            kept = {name: buffer for name, buffer in step.named_buffers() if "attention" in name}
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_tied_words_are_stored_once() -> None:
    spec = DecoderSpec.model_validate({**SMALL, "tied": True, "n_context": 2, "n_tokens": 1})
    trace = traced(spec)
    head = trace.layers[-1]
    assert (head.weights_of, head.stored_bytes, head.read_bytes) == (0, 0, 4 * 3200)
    assert trace.n_parameters == spec.n_parameters


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"n_heads": 5}, "does not give 5 heads"), ({"n_kv_heads": 3}, "cannot share 3"), ({"n_tokens": 0}, "n_tokens")],
)
def test_dimensions_that_cannot_be(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        small(**changes)
