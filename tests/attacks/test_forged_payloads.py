"""Is every stream refused that breaks a rule, though its checksum is right?"""

from typing import Any

import numpy as np
import pytest

from dcsim.artifact import CompressedModel, Floats, Layout, Live, StoredTensor, pack_tensor
from dcsim.codec import code_table, varint
from dcsim.errors import MalformedError, TruncatedError
from tests.attacks.forging import SHARED, bits, fields, huffman, lying, number, opened, pruned, scaled, shared
from tests.networks import sparse

ROWS, COLUMNS = Live.of(np.array([0, 1, 1], np.bool_)), Live.of(np.array([1, 0, 1], np.bool_))
INF, NAN, SIGNALLING_NAN = 0x7F800000, 0x7FC00000, 0x7F800001  # bits of fp32


def decoded(content: bytes) -> Floats:
    return CompressedModel.from_bytes(content).decode()["w"]


def test_what_is_forged_below_is_right_before() -> None:
    few = np.float32([0.1, 0, 0, 0, 0, 0, 0, 0, 0.2])
    assert decoded(pruned([0.1, 0.2], [0, 7])).tolist() == few.tolist()
    assert decoded(shared([1, 2], [0, 7])).tolist() == few.tolist()
    assert decoded(scaled(2)).tolist() == (2 * few).tolist()
    assert decoded(huffman()).tolist() == [0.5, 0, 0.25, 0.5, 0, 0.25, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (shared([1, 3], [0, 7]), "w: a code points past the codebook of 3"),
        (shared([0, 2], [0, 7]), "w: an entry of value zero is no filler"),
        (shared([1, 0, 2], [0, 2, 3]), "w: an entry of value zero is no filler"),
        (shared([1, 0], [0, 3], gap_bits=2), "w: zeros after the last nonzero are stored"),
        (shared([0, 0], [3, 3], gap_bits=2), "w: zeros after the last nonzero are stored"),
        (shared([1, 2], [0, 7], codebook=(0.1, 0)), "w: an entry of value zero is no filler"),
        (shared([1, 2], [0, 3], codebook=(0.1, 0), gap_bits=2), "w: zeros after the last nonzero are stored"),
        (pruned([0, 0.2], [0, 7]), "w: an entry of value zero is no filler"),
        (pruned([-0.0, 0.2], [0, 7]), "w: an entry of value zero is no filler"),
        (pruned([0.1, 0], [0, 3], gap_bits=2), "w: zeros after the last nonzero are stored"),
        (huffman((1, 1, 0)), "w: an entry of value zero is no filler"),
        (huffman((1, 0, 1), codes=b"\x05", gaps=b"\x0f"), "w: zeros after the last nonzero are stored"),
        (huffman(gaps=b"\x0f", shape=(7,)), "w: a gap runs past the end of the tensor or its slice"),
    ],
)
def test_entries_that_break_a_rule_are_refused(content: bytes, reason: str) -> None:
    model = CompressedModel.from_bytes(content)
    with pytest.raises(MalformedError, match=reason):
        model.decode()


@pytest.mark.parametrize("gaps", [[0, 8], [9, 0], [15, 15], [8, 0]])
def test_gaps_past_the_end_of_a_tensor_are_refused(gaps: list[int]) -> None:
    for content in (shared([1, 2], gaps), pruned([0.1, 0.2], gaps)):
        with pytest.raises(MalformedError, match="w: a gap runs past the end"):
            decoded(content)


@pytest.mark.parametrize("layout", [Layout("per-row"), Layout("per-pe", 2), Layout("per-row", 1, ROWS, COLUMNS)])
def test_entries_that_do_not_fit_their_slices_are_refused(layout: Layout) -> None:
    """Two entries in slices of two to three elements, or in other slices than they say."""
    n_slices = layout.n_slices((3, 3))
    front = b"\x06\x05" if layout.live_rows else b""

    def sliced(counts: list[int], gaps: list[int], more: bytes = b"") -> bytes:
        packed = fields(counts + [0] * (n_slices - len(counts)), 2) + more
        return pruned([0.1, 0.2], gaps, front=front + packed, shape=(3, 3), layout=layout, count_bits=2)

    assert np.count_nonzero(decoded(sliced([1, 1], [0, 0]))) == 2
    for counts in ([0, 1], [1, 2], [3], [0], [2, 0, 1] if n_slices > 2 else [3, 3]):
        with pytest.raises(MalformedError, match=f"w: its slices hold {sum(counts)} entries instead of 2"):
            decoded(sliced(counts, [0, 0]))
    for counts, gaps in (([1, 1], [3, 0]), ([1, 1], [0, 3]), ([2], [0, 2]), ([2], [2, 0]), ([2], [0, 15])):
        with pytest.raises(MalformedError, match="w: a gap runs past the end of the tensor or its slice"):
            decoded(sliced(counts, gaps))
    with pytest.raises(MalformedError, match="w: the payload has"):
        CompressedModel.from_bytes(sliced([1, 1], [0, 0], more=b"\x00"))


BROKEN = {
    (0, 0, 0): "with symbols has an empty code table",
    (0, 2, 0): "a lone symbol must have code length 1",
    (0, 0, 16): "a lone symbol must have code length 1",
    (1, 1, 1): "break the Kraft equality",
    (0, 1, 2): "break the Kraft equality",
    (2, 2, 2): "break the Kraft equality",
    (1, 2, 16): "break the Kraft equality",
    (1, 1, 16): "break the Kraft equality",
}


@pytest.mark.parametrize(("lengths", "reason"), BROKEN.items())
def test_code_tables_that_are_no_complete_prefix_code_are_refused(lengths: tuple[int, ...], reason: str) -> None:
    for content in (huffman(lengths), huffman(gap_lengths=(0, *lengths), gap_bits=2)):
        with pytest.raises(MalformedError, match=reason):
            CompressedModel.from_bytes(content)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("101" + "101", "a code of 0 bits"),  # one bit shorter than the two that number three symbols, and again
        ("11101111" + "100", "a code of 17 bits"),
        ("1111" + "00100", "a code table has 4 symbols, its alphabet 3"),
        ("110" + "1111" + "011", "a code table has 4 symbols, its alphabet 3"),
        ("1111" + "0" * 16 + "1" + "0" * 11, "inside a code table"),
        ("1111" + "0" * 28, "longer than any alphabet"),
        ("110" + "101" + "0" + "1", "padding bits after a code table are not zero"),
    ],
)
def test_code_tables_of_other_length_or_beyond_sixteen_bits_are_refused(table: str, reason: str) -> None:
    with pytest.raises((MalformedError, TruncatedError), match=reason):
        decoded(huffman(bits(table)))


@pytest.mark.parametrize("n_bytes", range(6))
def test_a_huffman_payload_that_ends_inside_its_tables_is_refused(n_bytes: int) -> None:
    with pytest.raises(TruncatedError, match="inside a code table"):
        CompressedModel.from_bytes(huffman(payload=opened(huffman())[1][:n_bytes]))


def test_bytes_for_streams_that_have_no_bits_are_refused() -> None:
    for content in (huffman((0, 1, 0), (1, 0), b"", b"", b"\x00"), huffman(n_entries=0)):
        with pytest.raises(MalformedError, match="runs of 0 bytes do not fill"):
            CompressedModel.from_bytes(content)
    assert decoded(huffman((0, 1, 0), (1, 0), b"", b"", b"")).tolist() == [0.5] * 4 + [0] * 5


def test_more_runs_than_the_payload_can_list_are_refused() -> None:
    with pytest.raises(TruncatedError, match="make more runs than"):
        CompressedModel.from_bytes(huffman(shape=(1 << 20,), n_entries=1 << 20))


@pytest.mark.parametrize("listed", [0, 4])
def test_runs_that_end_elsewhere_than_they_say_are_refused(listed: int) -> None:
    with pytest.raises(MalformedError, match="Huffman run 0 does not end where its length says"):
        decoded(huffman(listed=number(listed)))


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (number(1), "a length is negative"),
        (number((1 << 56) - 1), "a length is negative"),
        (number(6), "do not fill 2 bytes"),
        (b"\x82\x00", "written longer than it is"),
        (b"\x80" * 8 + b"\x01", "longer than eight bytes"),
        *[
            (number(2 * size), "do not fill 2 bytes|longer than eight bytes")
            for size in (1 << 31, 1 << 54, (1 << 55) - 1)
        ],
        *[
            (number(size + more), "longer than eight bytes")
            for size in (1 << 56, 1 << 62, 1 << 63, 1 << 64)
            for more in (0, 1)
        ],
    ],
)
def test_run_lengths_that_cannot_be_are_refused(listed: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        CompressedModel.from_bytes(huffman(listed=listed))


def test_any_run_of_a_long_tensor_that_ends_elsewhere_is_refused() -> None:
    tensor = pack_tensor("w", sparse(400, 400, density=0.5), "huffman", gap_bits=3)
    parts = tensor._huffman_parts
    run_bytes = [*parts.codes.run_bytes.tolist(), *parts.gaps.run_bytes.tolist()]
    assert len(run_bytes) == 2 * 9
    end = len(tensor.payload) - sum(run_bytes)
    first = end - len(varint.pack_differences(run_bytes[:-1]))

    def relisted(lengths: list[int]) -> bytes:
        pieces = [
            tensor.payload[:first].tobytes(),
            varint.pack_differences(lengths[:-1]),
            tensor.payload[end:].tobytes(),
        ]
        return lying(**vars_of(tensor) | {"payload": b"".join(pieces)})

    assert np.array_equal(decoded(relisted(run_bytes)), tensor.decode())
    for run in range(17):
        for moved in (-1, 1, run_bytes[run + 1], -run_bytes[run]):
            lengths = [*run_bytes[:run], run_bytes[run] + moved, run_bytes[run + 1] - moved, *run_bytes[run + 2 :]]
            with pytest.raises(MalformedError, match=r"Huffman run . does not end where its length says"):
                decoded(relisted(lengths))
        for huge in (len(tensor.payload), 1 << 31, 1 << 54):
            with pytest.raises(MalformedError, match="do not fill"):
                CompressedModel.from_bytes(relisted([*run_bytes[:run], huge, *run_bytes[run + 1 :]]))


def vars_of(tensor: StoredTensor) -> dict[str, Any]:
    names = ("shape", "encoding", "n_entries", "n_codes", "gap_bits", "codebook_bytes", "layout")
    return {name: getattr(tensor, name) for name in names}


@pytest.mark.parametrize("bit", range(4, 8))
def test_padding_that_is_not_zero_is_refused(bit: int) -> None:
    """After the fields, live units, slice counts, tables and runs, each of which leaves half a byte at least."""
    added = 1 << bit
    rows = Layout("per-row", 1, ROWS)
    in_rows = {"shape": (3, 3), "encoding": "pruned", "layout": rows, "count_bits": 2}
    codebook = np.float32([0.1, 0.2]).tobytes()
    forged = {
        "codes": lying(**SHARED | {"payload": codebook + bytes([9 | added, 0x70])}),
        "gaps": lying(**SHARED | {"payload": codebook + bytes([9, 7 | added]), "gap_bits": 2}),
        "gaps of values": pruned([0.1], [0], payload=codebook[:4] + bytes([added])),
        "live rows": lying(payload=bytes([6 | added, 0]), **in_rows),
        "slice counts": lying(payload=bytes([6, added]), **in_rows),
        "codes in runs": huffman(codes=bytes([10 | added])),
        "gaps in runs": huffman(gaps=bytes([10 | added])),
        "gap table": huffman(gap_lengths=bytes([code_table.pack(np.uint8([1, 1]))[0] | added])),
    }
    for kind, content in forged.items():
        with pytest.raises(MalformedError, match="does not end where" if "runs" in kind else "padding"):
            decoded(content)


@pytest.mark.parametrize("value", [INF, INF | 1 << 31, NAN, SIGNALLING_NAN])
def test_values_that_are_not_finite_are_refused(value: int) -> None:
    single, half = np.uint32([value, 0]), np.uint16([value >> 16 & 0x8000 | value >> 13 & 0x7FFF | value & 1, 0])
    as_float = single.view(np.float32)
    for content in (
        lying(shape=(2,), payload=single.tobytes()),
        lying(shape=(2,), encoding="fp16", payload=half.tobytes()),
        pruned(as_float, [0, 1]),
        shared([1, 2], [0, 7], codebook=as_float),
        lying(**SHARED | {"payload": half.tobytes() + b"\x09\x70", "codebook_bytes": 2}),
        scaled(as_float[0]),
        scaled(as_float[0], codebook=(0.1, 0)),  # infinity times zero
    ):
        model = CompressedModel.from_bytes(content)
        with pytest.raises(MalformedError, match=r"holds? values that are not finite"):
            model.decode()


@pytest.mark.parametrize(("scale", "reason"), [(3e38, "not finite"), (0, "no filler"), (1e-45, "no filler")])
def test_scales_that_lose_the_values_are_refused(scale: float, reason: str) -> None:
    codebook = (2, 0.1) if scale > 1 else (0.1, 0.2)
    with pytest.raises(MalformedError, match=reason):
        decoded(scaled(scale, codebook))


def test_a_codebook_may_hold_any_finite_values_twice_too() -> None:
    assert decoded(shared([1, 2], [0, 7], codebook=(0.5, 0.5))).tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0, 0.5]
    assert decoded(shared([1, 1], [0, 7], codebook=(0.5, 0))).tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0, 0.5]
