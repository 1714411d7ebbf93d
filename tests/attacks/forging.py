"""Files that lie: whatever they say, their checksums are right, as an attacker would leave them."""

import zlib
from typing import Any

import numpy as np

from dcsim.artifact import CompressedModel, StoredTensor
from dcsim.artifact.dcz import CRC, FOOTER, MAGIC, SECTION_BYTES
from dcsim.codec import varint


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
        fields = usual | record
        payload = np.frombuffer(bytes(fields.pop("payload")), np.uint8)
        tensors.append(StoredTensor(**fields, payload=payload))
    return CompressedModel("net", "huffman", tuple(tensors)).content


def overlong(value: int, n_bytes: int) -> bytes:
    """`value` as a varint of `n_bytes`, more than it needs or than any may have."""
    groups = [value >> 7 * place & 0x7F for place in range(n_bytes)]
    return bytes([group | 0x80 for group in groups[:-1]] + [groups[-1]])


def records_of(content: bytes) -> list[int]:
    """Lengths of the records of a file that dcsim wrote, in order."""
    from dcsim.artifact.directory import pack_record

    tensors = CompressedModel.from_bytes(content).tensors
    return [len(pack_record(tensor, tensors[:index])) for index, tensor in enumerate(tensors)]


number = varint.pack
