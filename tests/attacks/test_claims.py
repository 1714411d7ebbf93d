"""Does a file that declares far more than it has cost next to nothing, and decoding no more than what it declares?"""

from typing import Any

import numpy as np
import pytest

from dcsim.artifact import CompressedModel, Encoding, Floats, Layout, Live, Variant, pack, pack_tensor
from dcsim.artifact.layout import SCANS, Scan
from dcsim.artifact.packing import pack_sparse, share_exactly
from dcsim.artifact.tensor import ENCODINGS, FP32_BYTES, StoredTensor
from dcsim.codec import code_table, relative_index
from dcsim.errors import ArtifactError, MalformedError, TruncatedError
from tests.attacks.forging import (
    NUMBERS,
    RECORD,
    bits,
    lying,
    lying_tensors,
    named,
    number,
    overlong,
    peak_bytes,
    record,
    sealed,
)

MAX_READ_BYTES = 100_000
MOST = 1 << 32  # elements of a tensor, and processing elements
HUGE = [(1 << exponent) + more for exponent in (31, 32, 53, 55, 56, 62, 63, 64) for more in (-1, 0, 1)]
LONE_SYMBOLS = code_table.pack(np.uint8([0, 1])) + code_table.pack(np.uint8([1]))
ONE_OF_ALL_GAPS = code_table.pack(np.eye(1, 1 << 16, dtype=np.uint8)[0])
#: a tensor without elements, and one of a single value throughout, whose streams have no bits
EMPTY: dict[str, Any] = {"encoding": "pruned", "shape": (MOST,)}
LONE: dict[str, Any] = {
    "encoding": "huffman",
    "shape": (MOST,),
    "n_entries": MOST,
    "n_codes": 2,
    "codebook_bytes": 4,
    "payload": np.float32([0.1]).tobytes() + LONE_SYMBOLS,
}


def decoded(content: bytes) -> Floats:
    return CompressedModel.from_bytes(content).decode()["w"]


def decoding_bytes(content: bytes) -> int:
    """Bytes that decoding takes at most, without what is imported and compiled once."""
    CompressedModel.from_bytes(content).decode()
    return peak_bytes(CompressedModel.from_bytes(content).decode)


def refuse(content: bytes) -> None:
    with pytest.raises((MalformedError, TruncatedError)):
        CompressedModel.from_bytes(content)


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_beyond_reason_is_refused_without_an_allocation(field: str) -> None:
    for value in HUGE:
        content = record(**{field: number(value)})
        assert peak_bytes(lambda content=content: refuse(content)) < MAX_READ_BYTES


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_written_longer_than_it_is_is_refused(field: str) -> None:
    (value,) = RECORD[field]
    assert overlong(value, 1) == RECORD[field]
    for n_bytes in range(2, 9):
        with pytest.raises(MalformedError, match="written longer than it is"):
            CompressedModel.from_bytes(record(**{field: overlong(value, n_bytes)}))
    for n_bytes in (9, 10, 11, 20):
        with pytest.raises(MalformedError, match="longer than eight bytes"):
            CompressedModel.from_bytes(record(**{field: overlong(value, n_bytes)}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lying(shape=(10**6, 10**6)), "more than 4294967296 elements"),
        (lying(shape=(10**12,), encoding="pruned"), "more than 4294967296 elements"),
        (lying(shape=(1 << 31, 3), encoding="pruned"), "more than 4294967296 elements"),
        (lying(shape=(1 << 55,) * 8, encoding="huffman"), "more than 4294967296 elements"),
        (lying(shape=(1 << 55, 0), encoding="pruned"), "more than 4294967296 elements"),  # no array has such a side
        (lying(shape=(0, 1 << 20, 1 << 20)), "more than 4294967296 elements"),
        (lying(shape=(MOST,)), "declares 17179869184 bytes, 0 are there"),
        (lying(shape=(MOST,), encoding="fp16"), "declares 8589934592 bytes, 0 are there"),
        (lying(**EMPTY | {"n_entries": MOST + 1}), "4294967297 entries in 4294967296 elements"),
        (lying(**EMPTY | {"n_entries": MOST}), "the payload has 0 bytes"),
        (lying(**EMPTY | {"n_entries": 1 << 55}), "entries in 4294967296 elements"),
        (lying(**LONE | {"encoding": "shared"}), "the payload has 6 bytes"),
        (lying(**LONE | {"payload": bytes(4) + bits("00" + "0" * 6) * 2, "gap_bits": 1}), "make more runs than"),
        (
            lying(**EMPTY | {"shape": (MOST, 1), "layout": Layout("per-row"), "count_bits": 1}),
            "the payload has 0 bytes",
        ),
        (lying(**EMPTY | {"layout": Layout("per-pe", 1), "count_bits": 32}), "the payload has 0 bytes"),
        (
            lying(shape=(4, 1), encoding="pruned", layout=Layout("per-pe", MOST), count_bits=1),
            "the payload has 0 bytes",
        ),
        (
            lying(shape=(4, 1), encoding="pruned", layout=Layout("per-pe", MOST + 1), count_bits=1),
            "processing elements",
        ),
        (record(n_rows=number(1 << 30), layout=b"\x1b", n_live_rows=b""), "w: its payload declares 134217728 bytes"),
    ],
)
def test_a_huge_claim_is_refused_without_an_allocation(content: bytes, reason: str) -> None:
    def read() -> None:
        with pytest.raises(ArtifactError, match=reason):
            CompressedModel.from_bytes(content)

    assert len(content) < 150
    assert peak_bytes(read) < MAX_READ_BYTES


LEGAL = {
    "zeros": lying(**EMPTY),
    "zeros by column": lying(**EMPTY | {"shape": (1 << 16, 1 << 16), "layout": Layout("columns")}),
    "zeros in eight tensors": lying_tensors(*(EMPTY | {"name": name} for name in "abcdefgh")),
    "one value": lying(**LONE),
    "one value after gaps": lying(
        **LONE | {"n_entries": MOST // 2, "gap_bits": 1, "payload": LONE["payload"][:5] + bits("110" + "0")}
    ),
    "one value after one of 2**16 gaps": lying(
        **LONE | {"n_entries": MOST - 1, "gap_bits": 16, "payload": LONE["payload"][:5] + ONE_OF_ALL_GAPS}
    ),
    "no live row": lying(**EMPTY | {"shape": (MOST, 1), "layout": Layout(live_rows=Live(1, MOST, 0))}),
    "all rows live": lying(**EMPTY | {"shape": (MOST, 1), "layout": Layout(live_rows=Live(1, MOST, MOST))}),
    "three rows live": lying(
        **EMPTY | {"shape": (MOST // 4, 4), "layout": Layout("rows", 1, Live(1, MOST // 4, 3), Live(2, 2, 1))}
    ),
    "no live column": lying(**EMPTY | {"shape": (1, MOST), "layout": Layout(live_columns=Live(1 << 31, 2, 0))}),
    "no slice": lying(**EMPTY | {"shape": (MOST, 0), "layout": Layout("per-pe", MOST), "count_bits": 1}),
    "a unit for no element": lying(**EMPTY | {"shape": (0, 4), "layout": Layout(live_rows=Live(1 << 55, 0, 0))}),
}


@pytest.mark.parametrize("content", LEGAL.values(), ids=list(LEGAL))
def test_a_huge_claim_that_is_legal_is_read_without_an_allocation(content: bytes) -> None:
    assert len(content) < 200
    assert peak_bytes(lambda: CompressedModel.from_bytes(content)) < MAX_READ_BYTES
    assert CompressedModel.from_bytes(content).content == content


def small(n_elements: int, name: str) -> bytes:
    """The same claims of far fewer elements."""
    return {
        "all rows live": lying(
            **EMPTY | {"shape": (n_elements, 1), "layout": Layout(live_rows=Live(1, n_elements, n_elements))}
        ),
        "one value": lying(**LONE | {"shape": (n_elements,), "n_entries": n_elements}),
        "zeros": lying(**EMPTY | {"shape": (n_elements,)}),
    }[name]


@pytest.mark.parametrize(("name", "value"), [("all rows live", 0), ("zeros", 0), ("one value", 0.1)])
def test_what_a_legal_claim_decodes_to(name: str, value: float) -> None:
    content = small(1 << 20, name)
    assert (decoded(content) == np.float32(value)).all()
    assert decoding_bytes(content) < 2 * FP32_BYTES * (1 << 20) + MAX_READ_BYTES


@pytest.mark.parametrize("name", ["no slice", "a unit for no element"])
def test_a_claim_without_elements_is_decoded_at_once(name: str) -> None:
    assert decoded(LEGAL[name]).size == 0
    assert decoding_bytes(LEGAL[name]) < MAX_READ_BYTES


def test_a_side_of_many_units_beside_one_of_none_is_decoded_at_once() -> None:
    layout = Layout("rows", 1, None, Live(1, MOST, MOST))
    content = lying(**EMPTY | {"shape": (0, MOST), "layout": layout})
    assert decoded(content).shape == (0, MOST)
    assert decoding_bytes(content) < MAX_READ_BYTES


def test_names_that_share_a_long_beginning_are_refused_before_they_add_up() -> None:
    """Each would be 50 KB of memory for six bytes of the file."""
    first = b"\x00" + number(0) + number(50_000) + b"w" * 50_000 + b"\x01\x00"
    others = [
        b"\x00" + number(49_998) + number(2) + bytes([97 + n // 26, 97 + n % 26]) + b"\x01\x00" for n in range(600)
    ]
    content = sealed(b"\x03\x00" + number(601) + first + b"".join(others))
    assert peak_bytes(lambda: refuse(content)) < 4 * len(content)


def test_many_small_tables_are_not_kept() -> None:
    """A table of 2**16 gaps is five bytes where one gap occurs, and 64 KiB in memory."""
    tables = code_table.pack(np.uint8([1])) + ONE_OF_ALL_GAPS
    assert len(tables) < 10
    empty = {"shape": (2, 2), "encoding": "huffman", "gap_bits": 16, "n_codes": 1, "codebook_bytes": 4}
    content = lying_tensors(*(empty | {"name": str(index), "payload": tables} for index in range(200)))
    assert peak_bytes(lambda: CompressedModel.from_bytes(content)) < 5 * MAX_READ_BYTES
    assert decoding_bytes(content) < 5 * MAX_READ_BYTES


def test_scaled_codebooks_are_not_kept() -> None:
    """A scale is two bytes, its codebook 4 KiB in memory."""
    common = {"shape": (1,), "encoding": "shared", "n_codes": 1024}
    owner = common | {"name": "owner", "codebook_bytes": 2, "payload": np.arange(1, 1024).astype("<f2").tobytes()}
    linked = common | {"codebook_bytes": 2, "payload": np.float16([1]).tobytes(), "owner": named("owner")}
    content = lying_tensors(owner, *(linked | {"name": str(index)} for index in range(300)))
    assert decoding_bytes(content) < 3 * MAX_READ_BYTES


def full(shape: tuple[int, int], density: float, *, with_dead: bool) -> Floats:
    """Five values; as many of them zero as `density` leaves, and dead rows and columns in between or none."""
    generator = np.random.default_rng(0)
    values = generator.choice(np.float32([0.1, 0.2, 0.3, 0.7, 0.9]), shape)
    values[generator.random(shape) >= density] = 0
    if with_dead:
        values[7::50] = 0
        values[:, 7::50] = 0
    return values


def stored(values: Floats, encoding: Encoding, layout: Layout, gap_bits: int) -> StoredTensor:
    nonzeros = relative_index.find(layout.flatten(values), layout.slice_elements(values.shape))
    shared = share_exactly(nonzeros.values)
    return pack_sparse("w", values.shape, encoding, layout, nonzeros, shared, gap_bits=gap_bits)


@pytest.mark.parametrize("encoding", ENCODINGS[2:])
@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("with_dead", [False, True])
def test_decoding_takes_no_more_than_twice_what_is_declared(encoding: Encoding, scan: Scan, with_dead: bool) -> None:
    for density, gap_bits in ((0.5, 2), (0.5, 9), (1, 0), (1, 9)):
        values = full((800, 1200), density, with_dead=with_dead)
        live = [Live.of(values.any(axis=axis)) if with_dead else None for axis in (1, 0)]
        content = CompressedModel(
            "net", "huffman", (stored(values, encoding, Layout(scan, 7 if scan == "per-pe" else 1, *live), gap_bits),)
        ).content
        assert np.array_equal(decoded(content), values)
        # values without a codebook are in the file in full, and it may itself be larger than what it declares
        in_file = len(content) if encoding == "pruned" else 0
        assert decoding_bytes(content) < 2 * values.nbytes + in_file + MAX_READ_BYTES, (density, gap_bits)


@pytest.mark.parametrize(("variant", "encoding"), [("dense", "fp32"), ("pruned", "fp16")])
def test_decoding_plain_values_takes_no_more_than_twice_what_is_declared(variant: Variant, encoding: Encoding) -> None:
    values = np.arange(1 << 20, dtype=np.float32).reshape(1 << 10, -1) % 1000 + 1
    model = pack("net", variant, {"w": values})
    assert model.tensors[0].encoding == encoding
    assert np.array_equal(decoded(model.content), values)
    assert decoding_bytes(model.content) < 2 * values.nbytes + MAX_READ_BYTES


@pytest.mark.parametrize("shape", [(1 << 18, 1), (1, 1 << 18)])
@pytest.mark.parametrize("layout", [Layout("per-row"), Layout("per-pe", 7), Layout("per-pe", 1)])
def test_slices_of_an_element_or_none_take_no_more(shape: tuple[int, int], layout: Layout) -> None:
    values = full(shape, 1, with_dead=False)
    content = CompressedModel("net", "huffman", (stored(values, "huffman", layout, 0),)).content
    assert np.array_equal(decoded(content), values)
    slice_bytes = 3 * 8 * (1 << 16)  # so many slices are looked at together
    assert decoding_bytes(content) < 2 * values.nbytes + slice_bytes + MAX_READ_BYTES


@pytest.mark.parametrize("scan", SCANS[:2])
def test_a_few_bytes_that_declare_megabytes_take_no_more_than_twice_that(scan: Scan) -> None:
    n_rows, n_columns, wide = 1000, 1000, np.zeros(300, np.uint8)
    wide[299] = 1  # codes and gaps that need two bytes each
    tables = code_table.pack(wide) + code_table.pack(np.eye(1, 512, dtype=np.uint8)[0])
    content = lying(
        shape=(n_rows, n_columns),
        encoding="huffman",
        n_entries=n_rows * n_columns,
        gap_bits=9,
        n_codes=300,
        codebook_bytes=2,
        layout=Layout(scan),
        payload=np.ones(299, np.float16).tobytes() + tables,
    )
    assert len(content) < 700
    assert (decoded(content) == 1).all()
    assert decoding_bytes(content) < 2 * FP32_BYTES * n_rows * n_columns + MAX_READ_BYTES


def test_reading_costs_next_to_nothing_beside_the_file() -> None:
    """Payloads are looked at where they lie."""
    values = full((800, 1200), 0.3, with_dead=True)
    content = CompressedModel(
        "net", "huffman", (pack_tensor("w", values, "huffman"), pack_tensor("v", values, "pruned"))
    ).content
    assert len(content) > 10 * MAX_READ_BYTES
    assert peak_bytes(lambda: CompressedModel.from_bytes(content)) < MAX_READ_BYTES
