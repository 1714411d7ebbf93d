"""Files that lie: whatever they say, their checksums are right, as an attacker would leave them."""

import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from dcsim.artifact import CompressedModel, StoredTensor
from dcsim.artifact.dcz import CRC, FOOTER, MAGIC, SECTION_BYTES
from dcsim.codec import code_table, fixed_width, varint


def sealed(directory: bytes, payloads: bytes = b"") -> bytes:
    """A file of `directory`, which ends before its checksums, and `payloads`, which are one section."""
    assert len(payloads) < SECTION_BYTES
    directory += CRC.pack(zlib.crc32(payloads)) if payloads else b""
    return MAGIC + payloads + directory + FOOTER.pack(len(directory), zlib.crc32(directory))


def opened(content: bytes) -> tuple[bytes, bytes]:
    """The directory without its checksum, and the payloads, of a file of one section."""
    directory_bytes, _ = FOOTER.unpack(content[-FOOTER.size :])
    directory_at = len(content) - FOOTER.size - directory_bytes
    payloads = content[len(MAGIC) : directory_at]
    return content[directory_at : -FOOTER.size - (CRC.size if payloads else 0)], payloads


def sealed_again(content: bytes) -> bytes:
    """A file of one section that was altered, its length of the directory not, with checksums that are right."""
    return sealed(*opened(content))


def lying(**fields: Any) -> bytes:
    """A file of one tensor whose record says what the payload does not keep. Checksums are right."""
    return lying_tensors(fields)


def lying_tensors(*records: dict[str, Any]) -> bytes:
    usual: dict[str, Any] = {"name": "w", "shape": (4,), "encoding": "fp32", "payload": b""}
    tensors = []
    for record in records:
        said = usual | record
        payload = np.frombuffer(bytes(said.pop("payload")), np.uint8)
        tensors.append(StoredTensor(**said, payload=payload))
    return CompressedModel("net", "huffman", tuple(tensors)).content


def overlong(value: int, n_bytes: int) -> bytes:
    """`value` as a varint of `n_bytes`, more than it needs or than any may have."""
    groups = [value >> 7 * place & 0x7F for place in range(n_bytes)]
    return bytes([group | 0x80 for group in groups[:-1]] + [groups[-1]])


def records_of(content: bytes) -> list[int]:
    """Lengths of the records of a file that dcsim wrote, in order."""
    from dcsim.artifact.directory import pack_record

    tensors = CompressedModel.from_bytes(content).tensors
    names = [tensor.name for tensor in tensors]
    return [len(pack_record(tensor, names[:index])) for index, tensor in enumerate(tensors)]


def peak_bytes(action: Callable[[], object]) -> int:
    """Bytes that `action` holds at most at a time."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def fields(values: list[int], width_bits: int) -> bytes:
    """Packed by hand, so that they may be any."""
    return fixed_width.pack(np.array(values, np.uint32), width_bits)


def named(name: str) -> StoredTensor:
    """The owner of a codebook, of which a record keeps only where it is."""
    return StoredTensor(name, (), "fp32", np.zeros(0, np.uint8))


def bits(text: str) -> bytes:
    """First bit lowest."""
    return int(text[::-1], 2).to_bytes(-(-len(text) // 8), "little")


number = varint.pack

#: the whole directory of a file of one tensor that has every field there is
RECORD: dict[str, bytes] = {
    "variant": b"\x03",
    "n_network": number(1),
    "network": b"n",
    "n_tensors": number(1),
    "kind": b"\x03",
    "shared": number(0),
    "n_stem": number(1),
    "stem": b"w",
    "dimensions": b"\x02",
    "n_rows": number(6),
    "n_columns": number(4),
    "n_entries": number(4),
    "gap_bits": b"\x01",
    "layout": bytes([3 | 1 << 2 | 1 << 4]),  # per processing element, the first rows and columns live
    "row_unit": number(1),
    "n_live_rows": number(4),
    "column_unit": number(2),
    "n_live_columns": number(1),
    "n_pes": number(2),
    "count_bits": b"\x01",
    "places_back": number(0),
    "codebook_bytes": b"\x02",
    "n_codes": number(3),
    "payload_bytes": number(7),
}
NUMBERS = tuple(
    name
    for name in RECORD
    if name[:2] == "n_" or name in ("shared", "row_unit", "column_unit", "places_back", "payload_bytes")
)


def record(**altered: bytes) -> bytes:
    """A file with these fields altered. Its payload has one entry in each of four slices of two elements."""
    payload = fields([1] * 4, 1) + np.float16([0.5, 0.25]).tobytes() + fields([1, 2, 1, 2], 2) + fields([0, 1, 0, 1], 1)
    return sealed(b"".join((RECORD | altered).values()), payload)


#: two entries in nine elements, of three values with one that is zero
SHARED: dict[str, Any] = {
    "shape": (9,),
    "encoding": "shared",
    "n_entries": 2,
    "gap_bits": 4,
    "n_codes": 3,
    "codebook_bytes": 4,
}


def pruned(values: Any, gaps: list[int], gap_bits: int = 4, front: bytes = b"", **more: Any) -> bytes:
    """Values and gaps by hand, in nine elements."""
    payload = front + np.float32(values).tobytes() + fields(gaps, gap_bits)
    usual = {"shape": (9,), "encoding": "pruned", "n_entries": len(gaps), "gap_bits": gap_bits}
    return lying(**{"payload": payload} | usual | more)


def shared(codes: list[int], gaps: list[int], codebook: Any = (0.1, 0.2), gap_bits: int = 4) -> bytes:
    """Codes and gaps by hand, in nine elements."""
    payload = np.float32(codebook).tobytes() + fields(codes, 2) + fields(gaps, gap_bits)
    return lying(**SHARED | {"payload": payload, "n_entries": len(gaps), "gap_bits": gap_bits})


def huffman(
    code_lengths: tuple[int, ...] | bytes = (0, 1, 1),
    gap_lengths: tuple[int, ...] | bytes = (1, 1),
    codes: bytes = b"\x0a",
    gaps: bytes = b"\x0a",
    listed: bytes = number(2),
    **more: Any,
) -> bytes:
    """Codes 1, 2, 1, 2 with gaps 0, 1, 0, 1 in nine elements; the bytes of the first of the two runs are listed."""
    tables = [
        lengths if isinstance(lengths, bytes) else code_table.pack(np.uint8(lengths))
        for lengths in (code_lengths, gap_lengths)
    ]
    payload = np.float16([0.5, 0.25]).tobytes() + b"".join([*tables, listed, codes, gaps])
    usual = SHARED | {"encoding": "huffman", "n_entries": 4, "gap_bits": 1, "codebook_bytes": 2}
    return lying(**usual | {"payload": payload} | more)


def scaled(scale: float, codebook: Any = (0.1, 0.2)) -> bytes:
    """Two tensors with one codebook, and the scale of the second one, w."""
    owner = {"name": "a", "payload": np.float32(codebook).tobytes(), "n_entries": 0}
    payload = np.float32([scale]).tobytes() + fields([1, 2], 2) + fields([0, 7], 4)
    return lying_tensors(SHARED | owner, SHARED | {"payload": payload, "owner": named("a")})
