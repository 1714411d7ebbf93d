"""Is every altered, truncated or malicious `.dcz` file refused with a typed error, and cheaply?"""

import struct
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dcsim.artifact import VARIANTS, CompressedModel, StoredTensor, pack
from dcsim.artifact.dcz import MAGIC, PREFIX
from dcsim.codec import fixed_width
from dcsim.errors import ArtifactError, ChecksumError, MalformedError, NotADczError, TruncatedError

MAX_READ_BYTES = 100_000


def small_file() -> bytes:
    """About 300 bytes with tensors of four encodings."""
    weights = np.zeros((30, 24), np.float32)
    weights.flat[::5] = np.resize(np.float32([0.1, 0.1, 0.1, 0.2, 0.3]), 144)
    random = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32) * (np.arange(180).reshape(60, 3) % 9 == 0)
    tensors = {"w": weights, "p": random, "b": np.float32([0.5, 1]), "c": np.float32([0.1])}
    content = pack("net", "huffman", tensors).content
    assert {t.encoding for t in CompressedModel.from_bytes(content).tensors} == {"huffman", "pruned", "fp16", "fp32"}
    assert 200 < len(content) < 400
    return content


SMALL = small_file()


def signed(header: bytes, payload: bytes = b"") -> bytes:
    """A file whose header carries the right checksum, whatever it says."""
    return PREFIX.pack(MAGIC, len(header), zlib.crc32(header)) + header + payload


def lying(**fields: Any) -> bytes:
    """A file of one tensor whose record says what the payload does not keep. Checksums are right."""
    record: dict[str, Any] = {"name": "w", "shape": (4,), "encoding": "fp32", "payload": b""}
    return CompressedModel("net", "huffman", (StoredTensor(**record | fields),)).content


def shared(codes: list[int], gaps: list[int], codebook: tuple[float, ...] = (0, 0.1, 0.2), gap_bits: int = 4) -> bytes:
    """A file of nine elements and three values: the payload of `shared` by hand."""
    streams = fixed_width.pack(np.array(codes), 2) + fixed_width.pack(np.array(gaps), gap_bits)
    return lying(
        shape=(9,),
        encoding="shared",
        payload=np.float32(codebook).tobytes() + streams,
        n_entries=len(codes),
        n_codes=3,
        gap_bits=gap_bits,
        codebook_bytes=4,
    )


def refused(content: bytes) -> bool:
    """Whether reading or decoding ends in a typed error; any other error fails the test."""
    try:
        model = CompressedModel.from_bytes(content)
        if model.n_parameters < 10**6:  # the file may claim zeros without end
            model.decode()
    except ArtifactError:
        return True
    return False


@pytest.mark.parametrize("mask", [1, 2, 4, 8, 16, 32, 64, 128, 255])
def test_every_altered_byte_is_refused(mask: int) -> None:
    for at in range(len(SMALL)):
        altered = bytearray(SMALL)
        altered[at] ^= mask
        with pytest.raises(NotADczError if at < 4 else (ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(bytes(altered))


def test_every_truncation_is_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(NotADczError if length < 4 else (ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(SMALL[:length])


@pytest.mark.parametrize("trailing", [b"\x00", SMALL])
def test_bytes_after_the_end_are_refused(trailing: bytes) -> None:
    with pytest.raises(MalformedError, match=f"{len(trailing)} bytes follow the last payload"):
        CompressedModel.from_bytes(SMALL + trailing)


@pytest.mark.parametrize("content", [b"", b"DCZ", b"DCZ2" + SMALL[4:], b"PK\x03\x04", bytes(100)])
def test_a_file_of_another_kind_or_version_is_refused(content: bytes) -> None:
    with pytest.raises(NotADczError, match=r"not a \.dcz file of version 1"):
        CompressedModel.from_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lying(shape=(10**6, 10**6)), id="elements"),
        pytest.param(lying(shape=(2**62,) * 8), id="more elements"),
        pytest.param(lying(encoding="pruned", shape=(10**12,), n_entries=10**12, gap_bits=4), id="entries"),
        pytest.param(lying(encoding="pruned", shape=(2**32,), n_entries=2**32, gap_bits=4), id="permitted entries"),
        pytest.param(lying(encoding="pruned", shape=(10**12,), gap_bits=4), id="zeros"),
        pytest.param(
            lying(encoding="huffman", shape=(2**32,), n_entries=2**32, gap_bits=4, n_codes=4, codebook_bytes=2),
            id="huffman entries",
        ),
        pytest.param(
            lying(encoding="shared", shape=(9,), n_entries=1, gap_bits=4, n_codes=10**12, codebook_bytes=4), id="codes"
        ),
        pytest.param(signed(b"\x00" + b"\xff" * 8 + b"\x7f" + b"net"), id="name"),
        pytest.param(signed(b"\x00\x03net" + b"\xff" * 8 + b"\x7f"), id="tensors"),
        pytest.param(signed(b"\x00\x03net\x01\x01w\x00\x00" + b"\xff" * 8 + b"\x7f" + bytes(4)), id="payload"),
        pytest.param(PREFIX.pack(MAGIC, 2**32 - 1, 0), id="header"),
    ],
)
def test_a_huge_claim_is_refused_without_a_large_allocation(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((MalformedError, TruncatedError)):
            CompressedModel.from_bytes(content)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MAX_READ_BYTES


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (signed(b"\x04\x00\x00"), "unknown variant or encoding number 4"),
        (signed(b"\x00\x00\x01\x01w\x05\x00"), "unknown variant or encoding number 5"),
        (signed(b"\x00\x02\xff\xfe\x00"), "not UTF-8"),
        (signed(b"\x00" + b"\xff" * 9 + b"\x01"), "too long"),
        (signed(b"\x00\x00\x00more"), "goes on after its last record"),
        (lying(shape=(1,) * 9, payload=bytes(4)), "w: 9 dimensions"),
        (lying(shape=(3,), payload=bytes(16)), "w: 3 values do not fill 16 bytes"),
        (lying(shape=(4,), encoding="fp16", payload=bytes(16)), "w: 4 values do not fill 16 bytes"),
        (lying(encoding="pruned", gap_bits=0), "w: 0-bit gaps"),
        (lying(encoding="pruned", gap_bits=13), "w: 13-bit gaps"),
        (lying(encoding="pruned", gap_bits=4, n_entries=5, payload=bytes(23)), "w: 5 entries in 4 elements"),
        (lying(encoding="pruned", gap_bits=4, n_entries=2, payload=bytes(8)), "w: the payload has 8 bytes"),
        (lying(encoding="shared", gap_bits=4, n_codes=0, codebook_bytes=4), "w: a codebook of 0 values"),
        (lying(encoding="shared", gap_bits=4, n_codes=1025, codebook_bytes=4), "w: a codebook of 1025 values"),
        (lying(encoding="shared", gap_bits=4, n_codes=4, codebook_bytes=3), "w: a codebook of 4 values of 3 bytes"),
        (CompressedModel("net", "dense", (StoredTensor("w", (0,), "fp32", b""),) * 2).content, "have the same name"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        CompressedModel.from_bytes(content)


@pytest.mark.parametrize("shape", [(2**62, 0), (2**62, 2**62, 0)])
def test_a_shape_that_no_array_can_have_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MalformedError):
        CompressedModel.from_bytes(lying(shape=shape)).decode()


def test_a_code_past_the_codebook_is_refused() -> None:
    assert CompressedModel.from_bytes(shared([1, 2], [0, 7])).decode()["w"].tolist()[-1] == np.float32(0.2)
    with pytest.raises(MalformedError, match="w: a code points past the codebook of 3"):
        CompressedModel.from_bytes(shared([1, 3], [0, 7])).decode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(shared([1, 2], [0, 7], codebook=(0.3, 0.1, 0.2)), id="code 0 is a value"),
        pytest.param(shared([0, 2], [0, 7]), id="a zero that is no filler"),
        pytest.param(shared([1, 0], [0, 3], gap_bits=2), id="a filler at the end"),
        pytest.param(replace(CompressedModel.from_bytes(SMALL), variant="dense").content, id="huffman in a dense file"),
    ],
)
def test_a_file_that_breaks_a_rule_of_the_format_is_refused(content: bytes) -> None:
    assert refused(content)


@pytest.mark.parametrize("gaps", [[0, 8], [9, 0], [15, 15]])
def test_gaps_past_the_end_of_a_tensor_are_refused(gaps: list[int]) -> None:
    pruned = np.float32([0.1, 0.2]).tobytes() + fixed_width.pack(np.array(gaps), 4)
    for content in (
        shared([1, 2], gaps),
        lying(shape=(9,), encoding="pruned", payload=pruned, n_entries=2, gap_bits=4),
    ):
        with pytest.raises(MalformedError, match="in a tensor of 9 elements"):
            CompressedModel.from_bytes(content).decode()


def test_a_huffman_tensor_cut_to_fewer_elements_is_refused() -> None:
    tensor = CompressedModel.from_bytes(SMALL).tensors[0]
    assert tensor.encoding == "huffman"
    content = CompressedModel("net", "huffman", (replace(tensor, shape=(715,)),)).content
    with pytest.raises(MalformedError, match="reach position 715 in a tensor of 715 elements"):
        CompressedModel.from_bytes(content).decode()


def test_padding_that_is_not_zero_is_refused() -> None:
    pruned = np.float32([0.1]).tobytes() + b"\xf0"
    with pytest.raises(MalformedError, match="padding"):
        CompressedModel.from_bytes(lying(encoding="pruned", payload=pruned, n_entries=1, gap_bits=4)).decode()


@pytest.mark.parametrize("mask", [1, 2, 4, 8, 16, 32, 64, 128, 255])
def test_an_altered_header_with_the_right_checksum_is_refused_or_read(mask: int) -> None:
    _, header_bytes, _ = PREFIX.unpack_from(SMALL)
    end = PREFIX.size + header_bytes
    header, payload = SMALL[PREFIX.size : end], SMALL[end:]
    assert not refused(signed(header, payload))
    altered = [header[:at] + bytes([header[at] ^ mask]) + header[at + 1 :] for at in range(header_bytes)]
    assert sum(refused(signed(forged, payload)) for forged in altered) > 0


@pytest.mark.parametrize("mask", [1, 2, 4, 8, 16, 32, 64, 128, 255])
def test_an_altered_payload_with_the_right_checksum_is_refused_or_decoded(mask: int) -> None:
    for tensor in CompressedModel.from_bytes(SMALL).tensors:
        n_refused = 0
        for at in range(len(tensor.payload)):
            payload = bytearray(tensor.payload)
            payload[at] ^= mask
            n_refused += refused(CompressedModel("net", "huffman", (replace(tensor, payload=bytes(payload)),)).content)
        if tensor.encoding == "huffman":
            assert n_refused > 0
        if tensor.encoding in ("fp16", "fp32"):
            assert n_refused == 0  # any value is a value


def test_variants_are_numbered_in_the_order_of_the_pipeline() -> None:
    for number, variant in enumerate(VARIANTS):
        content = pack("net", variant, {}).content
        assert struct.unpack_from("<4sIIB", content)[3] == number
