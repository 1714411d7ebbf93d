"""CompressedModel and the bytes of its `.dcz` file: payloads, then the directory; docs/reference/dcz.md specifies it.

Payloads come first so that a network larger than memory can be written tensor by tensor; a file that was cut off has no
directory and is refused. Reading allocates nothing that the file's own size does not justify.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np

from dcsim.artifact.directory import DirectoryReader, pack_record, pack_text
from dcsim.artifact.layout import Floats
from dcsim.artifact.tensor import FP32_BYTES, Encoding, StoredTensor
from dcsim.codec import varint
from dcsim.errors import ArtifactError, ChecksumError, MalformedError, NotADczError, TruncatedError
from dcsim.files import sha256, write_bytes

Variant = Literal["dense", "pruned", "shared", "huffman"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

#: encodings that a variant may use
PERMITTED: dict[Variant, tuple[Encoding, ...]] = {
    "dense": ("fp32",),
    "pruned": ("fp32", "fp16", "pruned"),
    "shared": ("fp32", "fp16", "pruned", "shared"),
    "huffman": ("fp32", "fp16", "pruned", "shared", "huffman"),
}
MAGIC = b"DCZ2"
MAX_TENSORS = 1 << 16
FOOTER = struct.Struct("<II")  # bytes of the directory, its CRC-32
CRC = struct.Struct("<I")
SECTION_BYTES = 1 << 16  # four bytes of checksum are 0.006 % of it, and a small file needs one alone


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
        stream = io.BytesIO()
        writer = DczWriter(stream, self.network, self.variant)
        for tensor in self.tensors:
            writer.add(tensor)
        writer.finish()
        return stream.getvalue()

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
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


class DczWriter:
    """Writes a `.dcz` file tensor by tensor; it is one once `finish` was called."""

    def __init__(self, stream: BinaryIO, network: str, variant: Variant) -> None:
        self._stream = stream
        self._front = bytes([VARIANTS.index(variant)]) + pack_text(network)
        self._names: list[str] = []
        self._records: list[bytes] = []
        self._crcs: list[int] = []
        self._in_section = self._crc = 0
        stream.write(MAGIC)

    def add(self, tensor: StoredTensor) -> None:
        """Write the payload of a tensor and keep its record. Raises ArtifactError for one too many."""
        if len(self._records) == MAX_TENSORS:
            raise ArtifactError(f"{tensor.name}: a file holds at most {MAX_TENSORS} tensors")
        self._records.append(pack_record(tensor, self._names))
        self._names.append(tensor.name)
        self._stream.write(tensor.payload.data)
        self._crc = zlib.crc32(tensor.payload.data, self._crc)
        self._in_section += len(tensor.payload)
        if self._in_section >= SECTION_BYTES:
            self._end_section()

    def finish(self) -> None:
        """Write the directory."""
        if self._in_section:
            self._end_section()
        sums = b"".join(map(CRC.pack, self._crcs))
        directory = b"".join([self._front, varint.pack(len(self._records)), *self._records, sums])
        self._stream.write(directory + FOOTER.pack(len(directory), zlib.crc32(directory)))

    def _end_section(self) -> None:
        self._crcs.append(self._crc)
        self._in_section = self._crc = 0


def _read(content: bytes) -> CompressedModel:
    if content[:3] != MAGIC[:3]:
        raise NotADczError(f"not a .dcz file: it starts with {content[:4]!r}, expected {MAGIC!r}")
    if content[:4] != MAGIC:
        raise NotADczError(f"a .dcz file of another version, {content[:4]!r}; this dcsim reads {MAGIC!r}")
    footer_at = len(content) - FOOTER.size
    if footer_at < len(MAGIC):
        raise TruncatedError(f"the file has {len(content)} bytes, less than any .dcz file")
    directory_bytes, crc = FOOTER.unpack_from(content, footer_at)
    directory_at = footer_at - directory_bytes
    if directory_at < len(MAGIC):
        raise TruncatedError(f"a directory of {directory_bytes} bytes does not fit in: the file was cut off or altered")
    directory = content[directory_at:footer_at]
    if zlib.crc32(directory) != crc:
        raise ChecksumError("the directory does not match its checksum: the file was cut off or altered")
    reader = DirectoryReader(directory)
    variant = reader.choice(VARIANTS, reader.byte())
    network = reader.text()
    payloads = np.frombuffer(content, np.uint8, directory_at - len(MAGIC), len(MAGIC))
    tensors = _tensors(reader, variant, payloads)
    if sum(len(tensor.payload) for tensor in tensors) != len(payloads):
        raise MalformedError("there are bytes between the last payload and the directory")
    for section in _sections(tensors):
        (crc,) = CRC.unpack(reader.take(CRC.size))
        found = 0
        for tensor in section:
            found = zlib.crc32(tensor.payload.data, found)
        if found != crc:
            names = section[0].name if len(section) == 1 else f"{section[0].name} to {section[-1].name}"
            raise ChecksumError(f"{names}: the payload does not match its checksum: the file was altered")
    if not reader.at_end():
        raise MalformedError("the directory goes on after its last checksum")
    for tensor in tensors:
        _check(tensor)
    return CompressedModel(network, variant, tensors)


def _tensors(reader: DirectoryReader, variant: Variant, payloads: np.ndarray) -> tuple[StoredTensor, ...]:
    tensors: list[StoredTensor] = []
    n_tensors = reader.count()
    if n_tensors > MAX_TENSORS:
        raise MalformedError(f"{n_tensors} tensors, at most {MAX_TENSORS} are allowed")
    for _ in range(n_tensors):
        tensor = reader.record(tensors, payloads)
        payloads = payloads[len(tensor.payload) :]
        if tensor.encoding not in PERMITTED[variant]:
            raise MalformedError(f"{tensor.name}: encoding {tensor.encoding} in a {variant} file")
        tensors.append(tensor)
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise MalformedError("two tensors have the same name")
    return tuple(tensors)


def _sections(tensors: Sequence[StoredTensor]) -> Iterator[list[StoredTensor]]:
    """The runs of payloads that share a checksum: each until it has 64 KiB."""
    section: list[StoredTensor] = []
    n_bytes = 0
    for tensor in tensors:
        section.append(tensor)
        n_bytes += len(tensor.payload)
        if n_bytes >= SECTION_BYTES:
            yield section
            section, n_bytes = [], 0
    if n_bytes:
        yield section


def _check(tensor: StoredTensor) -> None:
    """Refuse a tensor whose payload is not as its record implies. Raises ArtifactError."""
    for live in (tensor.layout.live_rows, tensor.layout.live_columns):
        if live and not live.is_canonical():
            raise MalformedError(f"{tensor.name}: its live units need no bitmap, or its padding is not zero")
    n_rows, n_columns = tensor.layout.live_shape(tensor.shape)
    if tensor.n_entries > n_rows * n_columns:
        raise MalformedError(
            f"{tensor.name}: {tensor.n_entries} entries in {n_rows * n_columns} elements are not possible"
        )
    if tensor.implied_bytes() != len(tensor.payload):
        raise MalformedError(f"{tensor.name}: the payload has {len(tensor.payload)} bytes, its record implies others")
