"""CompressedModel and the bytes of its `.dcz` file, specified in README.md.

Little endian throughout. Reading allocates nothing that the file's own size does not justify.
"""

import math
import struct
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar, get_args

from dcsim.artifact.tensor import (
    ENCODINGS,
    FP16_BYTES,
    FP32_BYTES,
    Encoding,
    Floats,
    StoredTensor,
    total_payload_bytes,
)
from dcsim.codec import relative_index
from dcsim.errors import ArtifactError, ChecksumError, MalformedError, NotADczError, TruncatedError
from dcsim.files import sha256, write_bytes

T = TypeVar("T")
Variant = Literal["dense", "pruned", "shared", "huffman"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

#: encodings that a variant may use
PERMITTED: dict[Variant, tuple[Encoding, ...]] = {
    "dense": ("fp32",),
    "pruned": ("fp32", "fp16", "pruned"),
    "shared": ("fp32", "fp16", "pruned", "shared"),
    "huffman": ("fp32", "fp16", "pruned", "shared", "huffman"),
}
MAGIC = b"DCZ1"
PREFIX = struct.Struct("<4sII")
MAX_ELEMENTS = 1 << 32
MAX_CODES = 1 << 10
MAX_DIMENSIONS = 8


@dataclass(frozen=True, eq=False)
class CompressedModel:
    """One storage variant of one network: what a `.dcz` file holds."""

    network: str
    variant: Variant
    tensors: tuple[StoredTensor, ...]

    def decode(self) -> dict[str, Floats]:
        """Every tensor by name, decoded bit for bit. Raises ArtifactError."""
        return {tensor.name: tensor.decode() for tensor in self.tensors}

    @property
    def n_parameters(self) -> int:
        """Weights and biases, zeros included."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @cached_property
    def content(self) -> bytes:
        """The bytes of the `.dcz` file."""
        return _write(self)

    @property
    def file_bytes(self) -> int:
        return len(self.content)

    @property
    def header_bytes(self) -> int:
        """Bytes of the file outside the tensors' payloads."""
        return self.file_bytes - sum(len(tensor.payload) for tensor in self.tensors)

    @property
    def compression_ratio(self) -> float:
        """4 bytes times all parameters, over the size of the file."""
        return FP32_BYTES * self.n_parameters / self.file_bytes

    @property
    def sha256(self) -> str:
        """Fingerprint of the file."""
        return sha256(self.content)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OutputError."""
        write_bytes(path, self.content)

    @classmethod
    def load(cls, path: Path) -> "CompressedModel":
        """Read a `.dcz` file. Raises ArtifactError with the file's name."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            return cls.from_bytes(content)
        except ArtifactError as error:
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def from_bytes(cls, content: bytes) -> "CompressedModel":
        """Parse the bytes of a `.dcz` file. Raises ArtifactError."""
        return _read(content)


def _write(model: CompressedModel) -> bytes:
    header = bytearray([VARIANTS.index(model.variant)])
    header += _text(model.network) + _varint(len(model.tensors))
    for tensor in model.tensors:
        header += _text(tensor.name) + bytes([ENCODINGS.index(tensor.encoding), len(tensor.shape)])
        header += b"".join(_varint(size) for size in tensor.shape)
        if tensor.encoding not in ("fp32", "fp16"):
            header += _varint(tensor.n_entries) + bytes([tensor.gap_bits])
        if tensor.encoding in ("shared", "huffman"):
            header += _varint(tensor.n_codes) + bytes([tensor.codebook_bytes])
        header += _varint(len(tensor.payload)) + struct.pack("<I", zlib.crc32(tensor.payload))
    prefix = PREFIX.pack(MAGIC, len(header), zlib.crc32(header))
    return b"".join([prefix, header, *(tensor.payload for tensor in model.tensors)])


def _read(content: bytes) -> CompressedModel:
    if content[:4] != MAGIC:
        raise NotADczError(f"not a .dcz file of version 1: it starts with {content[:4]!r}, expected {MAGIC!r}")
    if len(content) < PREFIX.size:
        raise TruncatedError(f"the file has {len(content)} bytes, its prefix alone has {PREFIX.size}")
    _, header_bytes, header_crc = PREFIX.unpack_from(content)
    header = content[PREFIX.size : PREFIX.size + header_bytes]
    if len(header) < header_bytes:
        raise TruncatedError(f"the header declares {header_bytes} bytes, {len(header)} are there")
    if zlib.crc32(header) != header_crc:
        raise ChecksumError("the header does not match its checksum: the file was altered")
    reader = _Reader(header)
    variant = reader.choice(VARIANTS)
    network = reader.text()
    at = PREFIX.size + header_bytes
    tensors = []
    for _ in range(reader.count()):
        tensor, payload_bytes, payload_crc = reader.record()
        payload = content[at : at + payload_bytes]
        if len(payload) < payload_bytes:
            raise TruncatedError(f"{tensor.name}: its payload declares {payload_bytes} bytes, {len(payload)} are there")
        if zlib.crc32(payload) != payload_crc:
            raise ChecksumError(f"{tensor.name}: the payload does not match its checksum: the file was altered")
        if tensor.encoding not in PERMITTED[variant]:
            raise MalformedError(f"{tensor.name}: encoding {tensor.encoding} in a {variant} file")
        tensors.append(_checked(replace(tensor, payload=payload)))
        at += payload_bytes
    if not reader.at_end():
        raise MalformedError("the header goes on after its last record")
    if at != len(content):
        raise MalformedError(f"{len(content) - at} bytes follow the last payload")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise MalformedError("two tensors have the same name")
    return CompressedModel(network, variant, tuple(tensors))


def _checked(tensor: StoredTensor) -> StoredTensor:
    """The tensor, if its payload is as long as its record implies."""
    if math.prod(max(size, 1) for size in tensor.shape) > MAX_ELEMENTS or tensor.n_entries > tensor.n_elements:
        raise MalformedError(
            f"{tensor.name}: {tensor.n_entries} entries in {tensor.n_elements} elements is not possible"
        )
    if total_payload_bytes(tensor.blocks) != len(tensor.payload):
        raise MalformedError(f"{tensor.name}: the payload has {len(tensor.payload)} bytes, its record implies others")
    if tensor.encoding in ("fp32", "fp16"):
        size = FP32_BYTES if tensor.encoding == "fp32" else FP16_BYTES
        if tensor.n_elements * size != len(tensor.payload):
            raise MalformedError(f"{tensor.name}: {tensor.n_elements} values do not fill {len(tensor.payload)} bytes")
    return tensor


def _varint(value: int) -> bytes:
    """LEB128: seven bits a byte, lowest first, the top bit set on all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded)) + encoded


class _Reader:
    """A cursor over the header that never reads past its end."""

    def __init__(self, header: bytes) -> None:
        self._header = header
        self._at = 0

    def at_end(self) -> bool:
        return self._at == len(self._header)

    def take(self, n_bytes: int) -> bytes:
        taken = self._header[self._at : self._at + n_bytes]
        if len(taken) < n_bytes:
            raise TruncatedError("the header ends inside a record")
        self._at += n_bytes
        return taken

    def count(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 56:
                raise MalformedError("a number in the header is too long")

    def text(self) -> str:
        try:
            return self.take(self.count()).decode()
        except UnicodeDecodeError as error:
            raise MalformedError("a name in the header is not UTF-8") from error

    def choice(self, options: tuple[T, ...]) -> T:
        index = self.take(1)[0]
        if index >= len(options):
            raise MalformedError(f"unknown variant or encoding number {index}")
        return options[index]

    def record(self) -> tuple[StoredTensor, int, int]:
        """A tensor without its payload, the payload's length and its checksum."""
        name, encoding = self.text(), self.choice(ENCODINGS)
        n_dimensions = self.take(1)[0]
        if n_dimensions > MAX_DIMENSIONS:
            raise MalformedError(f"{name}: {n_dimensions} dimensions, at most {MAX_DIMENSIONS} are allowed")
        shape = tuple(self.count() for _ in range(n_dimensions))
        n_entries = gap_bits = n_codes = codebook_bytes = 0
        if encoding not in ("fp32", "fp16"):
            n_entries, gap_bits = self.count(), self.take(1)[0]
            if not 1 <= gap_bits <= relative_index.MAX_GAP_BITS:
                raise MalformedError(f"{name}: {gap_bits}-bit gaps, expected 1 to {relative_index.MAX_GAP_BITS}")
        if encoding in ("shared", "huffman"):
            n_codes, codebook_bytes = self.count(), self.take(1)[0]
            if not 1 <= n_codes <= MAX_CODES or codebook_bytes not in (FP16_BYTES, FP32_BYTES):
                raise MalformedError(f"{name}: a codebook of {n_codes} values of {codebook_bytes} bytes is not allowed")
        payload_bytes = self.count()
        (crc,) = struct.unpack("<I", self.take(4))
        return (
            StoredTensor(name, shape, encoding, b"", n_entries, n_codes, gap_bits, codebook_bytes),
            payload_bytes,
            crc,
        )
