"""Is every file that lies refused though its checksums are right? What it declares beyond reason is in test_claims.py."""

from typing import Any

import numpy as np
import pytest

from dcsim.artifact import CompressedModel, Floats, Layout, Live, StoredTensor, pack_tensor
from dcsim.artifact.dcz import PERMITTED
from dcsim.codec import code_table, varint
from dcsim.errors import ArtifactError, MalformedError, TruncatedError
from tests.attacks.forging import fields, lying, lying_tensors, number, opened, record, sealed
from tests.attacks.test_damage import SMALL
from tests.networks import linked, sparse

ROWS, COLUMNS = Live(1, np.array([0, 1, 1], np.bool_)), Live(1, np.array([1, 0, 1], np.bool_))
INF, NAN, SIGNALLING_NAN = 0x7F800000, 0x7FC00000, 0x7F800001


def decoded(content: bytes) -> Floats:
    return CompressedModel.from_bytes(content).decode()["w"]


def test_what_is_forged_below_is_right_when_it_does_not_lie() -> None:
    few = [0.1, 0, 0, 0, 0, 0, 0, 0, 0.2]
    assert decoded(pruned([0.1, 0.2], [0, 7])).tolist() == np.float32(few).tolist()
    assert decoded(shared([1, 2], [0, 7])).tolist() == np.float32(few).tolist()
    assert decoded(huffman()).tolist() == [0.5, 0, 0.25, 0.5, 0, 0.25, 0, 0, 0]
    assert decoded(scaled(int(np.float32(2).view(np.uint32)))).tolist() == np.float32([0.2, *few[1:-1], 0.4]).tolist()
    assert decoded(record()).sum() == 1.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (record(variant=b"\x04"), "number 4 stands for nothing among dense, pruned"),
        (record(kind=b"\x05"), "number 5 stands for nothing among fp32, fp16"),
        (record(kind=b"\x53"), "number 5 stands for nothing among , .weight"),
        (record(network=b"\xff"), "not UTF-8"),
        (record(stem=b"\xc3"), "not UTF-8"),
        (record(shared=number(1)), "shares more than the name before"),
        (record(dimensions=b"\x09"), "w: 9 dimensions"),
        (record(gap_bits=b"\x11"), "17 gap bits"),
        (record(n_entries=number(9)), "w: 9 entries in 8 elements"),
        (record(layout=bytes([0b1111])), "live units of kind 3"),
        (record(layout=bytes([0b1010111])), "live units of kind 5"),
        (record(row_unit=number(0)), "live units of kind 1 and 0 elements"),
        (record(row_unit=number(4)), "live units of kind 1 and 4 elements are not possible on a side of 6"),
        (record(n_live_rows=number(7)), "7 of 6 units"),
        (record(n_live_columns=number(3)), "3 of 2 units"),
        (record(n_pes=number(0)), "w: 0 processing elements"),
        (record(count_bits=b"\x00"), "w: slice counts of 0 bits"),
        (record(count_bits=b"\x21"), "33 bits a slice count"),
        (record(places_back=number(1)), "w: 1 places back there is no codebook"),
        (record(codebook_bytes=b"\x03"), "w: codebook values of 3 bytes"),
        (record(n_codes=number(0)), "w: a codebook of 0 values"),
        (record(n_codes=number(1025)), "w: a codebook of 1025 values"),
        (record(n_codes=number(4)), "w: the payload has 7 bytes"),
        (record(n_entries=number(5)), "w: the payload has 7 bytes"),
        (record(n_pes=number(5)), "w: the payload has 7 bytes"),
        (record(payload_bytes=number(6)), "bytes between the last payload and the directory"),
        (record(n_tensors=number(0)), "bytes between the last payload and the directory"),
        (lying(shape=(2,), encoding="fp16", payload=bytes(5)), "bytes between the last payload"),
        (lying(shape=(), payload=bytes(5)), "bytes between the last payload"),
        (sealed(b"\x00\x00\x00more"), "goes on after its last checksum"),
        (sealed(b"\x00\x00" + number((1 << 16) + 1)), "65537 tensors"),
        (lying(shape=(3, 4), encoding="pruned", layout=Layout(live_rows=ROWS), payload=b"\x0e"), "padding is not zero"),
        (lying(shape=(3, 4), encoding="pruned", layout=Layout(live_rows=ROWS), payload=b"\x03"), "need no bitmap"),
    ],
)
def test_a_directory_that_breaks_a_rule_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        CompressedModel.from_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        record(payload_bytes=number(8)),
        record(n_tensors=number(2)),
        record(n_stem=number(100)),
        lying(shape=(3,), payload=bytes(11)),
        lying(shape=(3,), encoding="fp16", payload=bytes(5)),
        lying(
            shape=(20, 4), encoding="pruned", layout=Layout(live_rows=Live(1, np.arange(20) > 3)), payload=b"\xf0\xff"
        ),
    ],
)
def test_a_file_that_ends_before_what_it_declares_is_refused(content: bytes) -> None:
    with pytest.raises(TruncatedError):
        CompressedModel.from_bytes(content)


def test_a_directory_cut_off_anywhere_is_refused() -> None:
    for content in (record(), *SMALL.values()):
        directory, payloads = opened(content)
        for length in range(len(directory)):
            with pytest.raises((MalformedError, TruncatedError)):
                CompressedModel.from_bytes(sealed(directory[:length], payloads))


@pytest.mark.parametrize("variant", list(PERMITTED))
def test_an_encoding_that_the_variant_does_not_permit_is_refused(variant: Any) -> None:
    one_of_each = {tensor.encoding: tensor for c in SMALL.values() for tensor in CompressedModel.from_bytes(c).tensors}
    for encoding in set(one_of_each) - set(PERMITTED[variant]):
        tensor = one_of_each[encoding]
        content = CompressedModel(
            "net", variant, (tensor.owner or tensor, tensor) if tensor.owner else (tensor,)
        ).content
        with pytest.raises(MalformedError, match=f"encoding (huffman|{encoding}) in a {variant} file"):
            CompressedModel.from_bytes(content)


@pytest.mark.parametrize("first", ["", "w", "w.weight", "größe.running_var"])
def test_two_tensors_of_one_name_are_refused(first: str) -> None:
    empty = {"shape": (0,)}
    with pytest.raises(MalformedError, match="two tensors have the same name"):
        CompressedModel.from_bytes(
            lying_tensors(empty | {"name": first}, {"name": "x"} | empty, empty | {"name": first})
        )


def test_a_name_with_an_ending_is_the_same_as_one_written_out() -> None:
    by_number, in_letters = b"\x10" + number(0) + number(1) + b"w", b"\x00" + number(1) + number(7) + b".weight"
    directory = b"\x00\x00" + number(2) + by_number + b"\x01\x00" + in_letters + b"\x01\x00"
    with pytest.raises(MalformedError, match="two tensors have the same name"):
        CompressedModel.from_bytes(sealed(directory))


@pytest.mark.parametrize(("owners", "last"), [("-a", 0), ("-ab", 0), ("--", 1)])
def test_a_codebook_of_a_tensor_without_one_of_its_own_is_refused(owners: str, last: int) -> None:
    """Nor may a tensor point at one that points at another, or at plain values."""
    common = {"encoding": "shared", "codebook_bytes": 4, "n_codes": 1}
    records = [
        {"name": name} | common | ({"owner": named(owner), "payload": bytes(4)} if owner != "-" else {})
        for name, owner in zip("abc", owners, strict=False)
    ]
    plain = {"name": "p", "shape": (0,)}
    points_at = {"name": "z", "payload": bytes(4), "owner": named("p" if last else "abc"[len(owners) - 1])}
    with pytest.raises(MalformedError, match="places back there is no codebook"):
        CompressedModel.from_bytes(lying_tensors(*records, plain, common | points_at))


def read_or_refused(content: bytes) -> bool:
    """Whether the file is decoded; any error but a typed one fails the test."""
    try:
        model = CompressedModel.from_bytes(content)
        if model.n_parameters > 10**6:  # a file may claim zeros without end
            return True
        values = model.decode()
    except ArtifactError:
        return False
    assert all(np.isfinite(values[tensor.name]).all() for tensor in model.tensors)
    assert all(values[tensor.name].shape == tensor.shape for tensor in model.tensors)
    return True


@pytest.mark.parametrize("name", SMALL)
def test_any_altered_byte_of_the_directory_is_refused_or_read(name: str) -> None:
    directory, payloads = opened(SMALL[name])
    n_read = []
    for at in range(len(directory)):
        for value in {*(directory[at] ^ mask for mask in (1, 2, 4, 16, 128)), 0, 0x7F, 0xFF} - {directory[at]}:
            n_read.append(read_or_refused(sealed(directory[:at] + bytes([value]) + directory[at + 1 :], payloads)))
    assert 0 < sum(n_read) < len(n_read)  # another name is another file, another length is none


@pytest.mark.parametrize("name", SMALL)
def test_any_altered_byte_of_a_payload_is_refused_or_decoded(name: str) -> None:
    directory, payloads = opened(SMALL[name])
    n_read = []
    for at in range(len(payloads)):
        for value in {*(payloads[at] ^ mask for mask in (1, 32, 128)), 0, 0xFF} - {payloads[at]}:
            n_read.append(read_or_refused(sealed(directory, payloads[:at] + bytes([value]) + payloads[at + 1 :])))
    assert 0 < sum(n_read) < len(n_read)


def test_payloads_of_other_tensors_are_refused_or_decoded() -> None:
    directory, payloads = opened(linked().content)
    for shift in range(1, len(payloads)):
        assert not read_or_refused(sealed(directory, payloads[shift:] + payloads[:shift]))
