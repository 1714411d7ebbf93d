"""Is every file that was altered, cut off or added to refused by its checksums or lengths?"""

from collections.abc import Iterator
from itertools import accumulate

import pytest

from dcsim.artifact import CompressedModel
from dcsim.artifact.dcz import CRC, FOOTER, MAGIC, SECTION_BYTES
from dcsim.artifact.layout import SCANS
from dcsim.artifact.tensor import ENCODINGS
from dcsim.errors import ArtifactError, ChecksumError, MalformedError, NotADczError, TruncatedError
from tests.attacks.files import SMALL, large_file
from tests.attacks.forging import opened, records_of, sealed

ADDED = (b"\x00", b"\xff", bytes(8), b"\xff" * 8, MAGIC)

small_files = pytest.mark.parametrize("content", SMALL.values(), ids=list(SMALL))


def boundaries(content: bytes) -> list[int]:
    """Where the magic, every payload, the front of the directory, every record and the checksum end."""
    model = CompressedModel.from_bytes(content)
    directory, payloads = opened(content)
    records = records_of(content)
    first_record = len(MAGIC) + len(payloads) + len(directory) - sum(records)
    payload_ends = accumulate((len(tensor.payload) for tensor in model.tensors), initial=len(MAGIC))
    return [*payload_ends, *accumulate(records, initial=first_record), len(content) - FOOTER.size]


def altered(content: bytes, at: int, mask: int) -> bytes:
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


def every_bit(content: bytes) -> Iterator[tuple[int, bytes]]:
    return ((at, altered(content, at, 1 << bit)) for at in range(len(content)) for bit in range(8))


def test_the_small_files_have_all_that_a_file_can_have() -> None:
    tensors = [tensor for content in SMALL.values() for tensor in CompressedModel.from_bytes(content).tensors]
    live = [side for t in tensors for side in (t.layout.live_rows, t.layout.live_columns) if side]
    assert {tensor.encoding for tensor in tensors} == set(ENCODINGS)
    assert {tensor.layout.scan for tensor in tensors} == set(SCANS)
    assert {side.is_count for side in live} == {True, False}
    assert {(tensor.owner is None, tensor.encoding) for tensor in tensors if tensor.n_codes} == {
        (owns, encoding) for owns in (True, False) for encoding in ("shared", "huffman")
    }
    assert {tensor.codebook_bytes for tensor in tensors} == {0, 2, 4}


@small_files
def test_every_altered_bit_is_refused(content: bytes) -> None:
    for at, forged in every_bit(content):
        with pytest.raises(NotADczError if at < len(MAGIC) else (ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(forged)


@small_files
def test_every_altered_byte_is_refused(content: bytes) -> None:
    for at in range(len(MAGIC), len(content)):
        with pytest.raises((ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(altered(content, at, 0xFF))


@small_files
def test_an_altered_payload_is_refused_by_the_checksum_of_its_section(content: bytes) -> None:
    _, payloads = opened(content)
    for at in range(len(MAGIC), len(MAGIC) + len(payloads)):
        with pytest.raises(ChecksumError, match="the payload does not match its checksum"):
            CompressedModel.from_bytes(altered(content, at, 0x10))


@small_files
def test_every_truncation_is_refused(content: bytes) -> None:
    for length in range(len(content)):
        with pytest.raises(NotADczError if length < len(MAGIC) else (ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(content[:length])


@small_files
def test_a_file_without_its_beginning_is_refused(content: bytes) -> None:
    for first in range(1, len(content)):
        with pytest.raises(NotADczError):
            CompressedModel.from_bytes(content[first:])
        with pytest.raises(ArtifactError):
            CompressedModel.from_bytes(MAGIC + content[len(MAGIC) + first :])


@small_files
def test_bytes_between_any_two_parts_are_refused(content: bytes) -> None:
    assert len(boundaries(content)) > 4
    for at in boundaries(content):
        for added in (*ADDED, content):
            with pytest.raises((ChecksumError, MalformedError, TruncatedError)):
                CompressedModel.from_bytes(content[:at] + added + content[at:])


@small_files
def test_bytes_missing_between_any_two_parts_are_refused(content: bytes) -> None:
    for at in boundaries(content):
        for n_bytes in (1, 2, 8):
            with pytest.raises((ChecksumError, MalformedError, TruncatedError, NotADczError)):
                CompressedModel.from_bytes(content[: at - n_bytes] + content[at:])


@small_files
def test_bytes_after_the_end_are_refused(content: bytes) -> None:
    for added in (*ADDED, content, content[len(MAGIC) :]):
        with pytest.raises((ChecksumError, MalformedError, TruncatedError)):
            CompressedModel.from_bytes(content + added)


@small_files
def test_a_file_cut_off_at_any_part_is_refused_though_its_directory_is_appended(content: bytes) -> None:
    """As a download leaves it that was resumed at the wrong place."""
    directory, payloads = opened(content)
    for at in boundaries(content):
        if at < len(MAGIC) + len(payloads):
            with pytest.raises((MalformedError, TruncatedError)):
                CompressedModel.from_bytes(sealed(directory, payloads[: at - len(MAGIC)]))


def test_damage_to_any_section_of_a_large_file_is_refused_with_the_names_of_its_tensors() -> None:
    content = large_file()
    ends = [len(MAGIC) + SECTION_BYTES * n for n in range(4)]
    for first, names in zip(ends, ("a", "b", "c", "d to e"), strict=True):
        size = SECTION_BYTES if len(names) == 1 else 72
        for at in (first, first + 1, first + size // 2, first + size - 1):
            with pytest.raises(ChecksumError, match=rf"^{names}: the payload does not match"):
                CompressedModel.from_bytes(altered(content, at, 0x40))


def test_sections_that_changed_places_are_refused() -> None:
    content = large_file()
    one, two, three = (len(MAGIC) + SECTION_BYTES * n for n in range(3))
    with pytest.raises(ChecksumError, match=r"^a: the payload does not match"):
        CompressedModel.from_bytes(content[:one] + content[two:three] + content[one:two] + content[three:])


def test_a_large_file_cut_off_anywhere_is_refused() -> None:
    content = large_file()
    for length in (*range(4, len(content), 997), *range(len(content) - 120, len(content))):
        with pytest.raises((ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(content[:length])


def test_a_directory_without_its_checksums_is_refused() -> None:
    directory, payloads = opened(SMALL["linked"])
    for sums in (b"", b"\x00", bytes(3), bytes(5), bytes(8)):
        forged = sealed(directory + sums)  # without payloads nothing is added to the directory
        content = MAGIC + payloads + forged[len(MAGIC) :]
        with pytest.raises((ChecksumError, TruncatedError)):
            CompressedModel.from_bytes(content)


def test_a_checksum_too_many_is_refused() -> None:
    directory, payloads = opened(SMALL["linked"])
    right = sealed(directory, payloads)[-FOOTER.size - CRC.size : -FOOTER.size]
    for added in (b"\x00", right):
        forged = sealed(directory + right + added)
        with pytest.raises(MalformedError, match="goes on after its last checksum"):
            CompressedModel.from_bytes(MAGIC + payloads + forged[len(MAGIC) :])


@pytest.mark.parametrize("content", [b"", b"D", b"DC", b"PK\x03\x04", bytes(100), b"dcz2" + SMALL["linked"][4:]])
def test_a_file_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(NotADczError, match=r"not a \.dcz file"):
        CompressedModel.from_bytes(content)


@pytest.mark.parametrize("magic", [b"DCZ1", b"DCZ3", b"DCZ\x00"])
def test_a_file_of_another_version_is_refused(magic: bytes) -> None:
    with pytest.raises(NotADczError, match=r"another version.*reads b'DCZ2'"):
        CompressedModel.from_bytes(magic + SMALL["linked"][4:])


@pytest.mark.parametrize("n_bytes", range(9))
def test_a_file_shorter_than_any_is_refused(n_bytes: int) -> None:
    with pytest.raises(TruncatedError):
        CompressedModel.from_bytes(MAGIC + bytes(n_bytes))


def test_a_directory_that_begins_before_the_file_is_refused() -> None:
    content = SMALL["linked"]
    directory_bytes, crc = FOOTER.unpack(content[-FOOTER.size :])
    for claimed in (len(content) - FOOTER.size - len(MAGIC) + 1, len(content), 1 << 31, (1 << 32) - 1):
        assert claimed > directory_bytes
        with pytest.raises(TruncatedError, match=f"a directory of {claimed} bytes does not fit"):
            CompressedModel.from_bytes(content[: -FOOTER.size] + FOOTER.pack(claimed, crc))
