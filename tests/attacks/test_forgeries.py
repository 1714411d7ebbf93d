"""Is every file refused that lies, though its checksums are right? For streams and claims see the files beside this."""

from collections.abc import Iterator

import numpy as np
import pytest

from dcsim.artifact import CompressedModel, Layout, Live, Variant
from dcsim.artifact.dcz import PERMITTED
from dcsim.errors import ArtifactError, MalformedError, TruncatedError
from tests.attacks.files import SMALL
from tests.attacks.forging import lying, lying_tensors, named, number, opened, record, sealed
from tests.networks import linked

LAST_TWO = Layout(live_rows=Live.of(np.array([0, 1, 1], np.bool_)))
LAST_OF_20 = Layout(live_rows=Live.of(np.arange(20) > 3))


def test_the_file_forged_below_is_right_before() -> None:
    read = CompressedModel.from_bytes(record())
    assert read.content == record()
    assert read.decode()["w"].tolist() == [
        [0.5, 0, 0, 0],
        [0.5, 0, 0, 0],
        [0, 0.25, 0, 0],
        [0, 0.25, 0, 0],
        [0] * 4,
        [0] * 4,
    ]


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
        (lying(shape=(3, 4), encoding="pruned", layout=LAST_TWO, payload=b"\x0e"), "padding is not zero"),
        (lying(shape=(3, 4), encoding="pruned", layout=LAST_TWO, payload=b"\x03"), "need no bitmap"),
    ],
)
def test_a_directory_that_breaks_a_rule_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        CompressedModel.from_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        record(payload_bytes=number(8)),
        record(n_stem=number(100)),
        lying(shape=(3,), payload=bytes(11)),
        lying(shape=(3,), encoding="fp16", payload=bytes(5)),
        lying(shape=(20, 4), encoding="pruned", layout=LAST_OF_20, payload=b"\xf0\xff"),
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


@pytest.mark.parametrize("variant", PERMITTED)
def test_an_encoding_that_the_variant_does_not_permit_is_refused(variant: Variant) -> None:
    tensors = [tensor for content in SMALL.values() for tensor in CompressedModel.from_bytes(content).tensors]
    of_each = {tensor.encoding: tensor for tensor in tensors if not tensor.owner}
    for encoding, tensor in of_each.items():
        content = CompressedModel("net", variant, (tensor,)).content
        if encoding in PERMITTED[variant]:
            assert CompressedModel.from_bytes(content).content == content
            continue
        with pytest.raises(MalformedError, match=f"{tensor.name}: encoding {encoding} in a {variant} file"):
            CompressedModel.from_bytes(content)


@pytest.mark.parametrize("first", ["", "w", "w.weight", "größe.running_var"])
def test_two_tensors_of_one_name_are_refused(first: str) -> None:
    empty = {"shape": (0,)}
    with pytest.raises(MalformedError, match="two tensors have the same name"):
        CompressedModel.from_bytes(
            lying_tensors(empty | {"name": first}, {"name": "x"} | empty, empty | {"name": first})
        )


@pytest.mark.parametrize(
    "second", [b"\x00" + number(1) + number(7) + b".weight", b"\x20" + number(0) + number(2) + b"w2"]
)
def test_a_name_is_refused_where_it_could_be_shorter(second: bytes) -> None:
    """With an ending in letters, or with a beginning written again, one name would have many records."""
    first = b"\x10" + number(0) + number(1) + b"w" + b"\x01\x00"
    assert not CompressedModel.from_bytes(sealed(b"\x00\x00" + number(1) + first)).decode()["w.weight"].size
    with pytest.raises(MalformedError, match="not written as short as it can be"):
        CompressedModel.from_bytes(sealed(b"\x00\x00" + number(2) + first + second + b"\x01\x00"))


@pytest.mark.parametrize("owner", ["plain", "pruned", "linked"])
def test_a_codebook_is_only_taken_from_a_tensor_that_has_one_of_its_own(owner: str) -> None:
    one_value = {"encoding": "shared", "codebook_bytes": 4, "n_codes": 2}
    scale = np.float32([1]).tobytes()
    earlier = (
        one_value | {"name": "owner", "payload": scale},
        {"name": "plain", "shape": (0,)},
        {"name": "pruned", "encoding": "pruned"},
        one_value | {"name": "linked", "payload": scale, "owner": named("owner")},
    )
    CompressedModel.from_bytes(
        lying_tensors(*earlier, one_value | {"payload": scale, "owner": named("owner")})
    ).decode()
    with pytest.raises(MalformedError, match=r"w: [123] places back there is no codebook"):
        CompressedModel.from_bytes(lying_tensors(*earlier, one_value | {"payload": scale, "owner": named(owner)}))


def test_a_name_longer_than_any_is_refused_and_never_written() -> None:
    assert CompressedModel.from_bytes(record(n_stem=number(1024), stem=b"w" * 1024)).tensors[0].name == "w" * 1024
    for kind, n_bytes in ((b"\x03", 1025), (b"\x13", 1018)):
        with pytest.raises(MalformedError, match="a name of more than 1024 bytes"):
            CompressedModel.from_bytes(record(kind=kind, n_stem=number(n_bytes), stem=b"w" * n_bytes))
    with pytest.raises(ArtifactError, match=r"wwww.*: a name has at most 1024 bytes"):
        lying(name="w" * 1025)


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


def with_one_byte_altered(content: bytes, masks: tuple[int, ...]) -> Iterator[bytes]:
    for at, byte in enumerate(content):
        for value in {*(byte ^ mask for mask in masks), 0, 0x7F, 0xFF} - {byte}:
            yield content[:at] + bytes([value]) + content[at + 1 :]


@pytest.mark.parametrize("name", SMALL)
def test_any_altered_byte_of_the_directory_is_refused_or_read(name: str) -> None:
    directory, payloads = opened(SMALL[name])
    masks = tuple(1 << bit for bit in range(8))
    n_read = [read_or_refused(sealed(forged, payloads)) for forged in with_one_byte_altered(directory, masks)]
    assert 0 < sum(n_read) < len(n_read)  # another name is another file, another length is none


@pytest.mark.parametrize("name", SMALL)
def test_any_altered_byte_of_a_payload_is_refused_or_decoded(name: str) -> None:
    directory, payloads = opened(SMALL[name])
    n_read = [read_or_refused(sealed(directory, forged)) for forged in with_one_byte_altered(payloads, (1, 8, 128))]
    assert 0 < sum(n_read) < len(n_read)


def test_payloads_in_the_wrong_place_are_refused() -> None:
    directory, payloads = opened(linked().content)
    for shift in range(1, len(payloads)):
        assert not read_or_refused(sealed(directory, payloads[shift:] + payloads[:shift]))
