"""Transformer decoders by their dimensions: what a language model does for one more token, or for a prompt.

The architecture is that of Llama (Touvron et al., arXiv 2302.13971, section 2.2; 2307.09288): RMS norm before each
half, rotary positions, grouped queries, a gated feed-forward network, no biases. Keys and values of earlier tokens are
kept in buffers, so a trace sees them read and written.
"""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from dcsim.config import Spec

if TYPE_CHECKING:
    import torch

Count = Annotated[int, Field(gt=0)]


class DecoderSpec(Spec):
    """A decoder's dimensions, and the step that makes one frame. The output is computed for the last token.

    Attributes:
        n_layers: blocks of attention and feed-forward network.
        width: features of a token.
        n_heads: of queries.
        n_kv_heads: of keys and values, shared by groups of queries.
        inner: width of the feed-forward network.
        n_words: of the vocabulary.
        tied: whether the output reads the table of words.
        n_context: tokens in the cache already.
        n_tokens: that come in: one when a token is generated, all of them when a prompt is read.
    """

    n_layers: Count
    width: Count
    n_heads: Count
    n_kv_heads: Count
    inner: Count
    n_words: Count
    tied: bool = False
    n_context: Annotated[int, Field(ge=0)]
    n_tokens: Count

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.n_heads or self.width // self.n_heads % 2:
            raise ValueError(f"a width of {self.width} does not give {self.n_heads} heads an even number of features")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"{self.n_heads} heads cannot share {self.n_kv_heads} keys and values evenly")
        return self

    @property
    def n_parameters(self) -> int:
        """Weights; a tied head counts once."""
        kv_width = self.width // self.n_heads * self.n_kv_heads
        block = 2 * self.width**2 + 2 * self.width * kv_width + 3 * self.width * self.inner + 2 * self.width
        return self.n_layers * block + self.width * self.n_words * (1 if self.tied else 2) + self.width


class VirtualWeights(Spec):
    """How the matrices of a network that is never allocated are stored; the names are those of a table of layers.

    Attributes:
        weight_density: nonzero / all.
        code_bits: width of a code before Huffman coding.
        gap_bits: width of a gap before Huffman coding; `auto` makes the file smallest.
        huffman_bits_per_code: mean after Huffman coding.
    """

    weight_density: Annotated[float, Field(gt=0, le=1)] = 1.0
    code_bits: Annotated[int, Field(ge=1, le=10)]
    gap_bits: Annotated[int, Field(ge=0, le=16)] | Literal["auto"] = "auto"
    huffman_bits_per_code: Annotated[float, Field(gt=0, le=32)]


def build_decoder(spec: DecoderSpec, batch: int = 1) -> "torch.nn.Module":
    """The decoder as a module that takes token numbers, (batch, n_tokens), int64. Allocate it under a meta device."""
    import torch
    from torch import nn
    from torch.nn import functional

    n_features = spec.width // spec.n_heads
    n_seen = spec.n_context + spec.n_tokens
    places = slice(spec.n_context, n_seen)

    def rotated(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, -1)
        return x * cosines + torch.cat((-second, first), -1) * sines

    class Attention(nn.Module):
        keys: torch.Tensor
        values: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            kv_width = n_features * spec.n_kv_heads
            self.q = nn.Linear(spec.width, spec.width, bias=False)
            self.k, self.v = (nn.Linear(spec.width, kv_width, bias=False) for _ in range(2))
            self.o = nn.Linear(spec.width, spec.width, bias=False)
            for name in ("keys", "values"):
                kept = torch.zeros(batch, spec.n_kv_heads, n_seen, n_features)
                self.register_buffer(name, kept, persistent=False)

        def forward(self, x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
            shape = (batch, spec.n_tokens, -1, n_features)
            query, key, value = (part(x).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v))
            self.keys[:, :, places] = rotated(key, cosines, sines)
            self.values[:, :, places] = value
            visible = torch.ones(spec.n_tokens, n_seen, dtype=torch.bool, device=x.device).tril(spec.n_context)
            mixed = functional.scaled_dot_product_attention(
                rotated(query, cosines, sines),
                self.keys,
                self.values,
                attn_mask=visible if spec.n_tokens > 1 else None,
                enable_gqa=spec.n_kv_heads < spec.n_heads,
            )
            found: torch.Tensor = self.o(mixed.transpose(1, 2).reshape(batch, spec.n_tokens, spec.width))
            return found

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.RMSNorm(spec.width), nn.RMSNorm(spec.width)
            self.attention = Attention()
            self.gate, self.up = (nn.Linear(spec.width, spec.inner, bias=False) for _ in range(2))
            self.down = nn.Linear(spec.inner, spec.width, bias=False)

        def forward(self, x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
            x = x + self.attention(self.norm1(x), cosines, sines)
            y = self.norm2(x)
            found: torch.Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
            return found

    class Decoder(nn.Module):
        cosines: torch.Tensor
        sines: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            # drawn here, because drawing in place on shapes alone makes torch load its compiler, for seconds
            self.words = nn.Embedding(spec.n_words, spec.width, _weight=torch.randn(spec.n_words, spec.width))
            self.blocks = nn.ModuleList(Block() for _ in range(spec.n_layers))
            self.norm = nn.RMSNorm(spec.width)
            self.head = nn.Linear(spec.width, spec.n_words, bias=False)
            if spec.tied:
                self.head.weight = self.words.weight
            frequencies = 10000.0 ** (-torch.arange(0, n_features, 2) / n_features)
            angles = torch.outer(torch.arange(spec.n_context, n_seen), frequencies).repeat(1, 2)
            self.register_buffer("cosines", angles.cos(), persistent=False)
            self.register_buffer("sines", angles.sin(), persistent=False)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.words(tokens)
            for block in self.blocks:
                x = block(x, self.cosines, self.sines)
            found: torch.Tensor = self.head(self.norm(x[:, -1:]))
            return found

    return Decoder().eval()
