"""The two Huffman streams of a tensor, and the bytes in which they lie."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.codec import code_table, huffman, varint
from dcsim.codec.huffman import HuffmanStream
from dcsim.errors import MalformedError, TruncatedError

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class HuffmanParts:
    """Codes and gaps: both code tables | bytes of every run but the last of all | the runs of codes | of gaps.

    A stream with fewer than two distinct symbols has no bits, and no run lengths either.

    Attributes:
        table_bytes: bytes of code tables and run lengths.
    """

    codes: HuffmanStream
    gaps: HuffmanStream
    table_bytes: int

    @classmethod
    def parse(cls, payload: Bytes, n_entries: int, n_codes: int, n_gaps: int) -> "HuffmanParts":
        """Cut up `payload`. Raises ArtifactError."""
        code_lengths, code_table_bytes = code_table.unpack(payload, n_codes)
        gap_lengths, gap_table_bytes = code_table.unpack(payload[code_table_bytes:], n_gaps)
        index_at = code_table_bytes + gap_table_bytes
        n_runs = huffman.n_runs(n_entries)
        n_measured = [n_runs if np.count_nonzero(lengths) > 1 else 0 for lengths in (code_lengths, gap_lengths)]
        n_listed = max(sum(n_measured) - 1, 0)
        if n_listed > len(payload):
            raise TruncatedError(f"{n_entries} entries make more runs than {len(payload)} bytes can list")
        listed = payload[index_at : index_at + varint.MAX_BYTES * n_listed].tobytes()
        lengths, index_bytes = varint.unpack_differences(listed, 0, n_listed)
        at = index_at + index_bytes
        n_left = len(payload) - at - sum(lengths)
        if n_left < 0 or (n_left and not sum(n_measured)):
            raise MalformedError(f"Huffman runs of {sum(lengths)} bytes do not fill {len(payload) - at} bytes")
        if sum(n_measured):
            lengths.append(n_left)
        run_bytes = np.array(lengths, np.int64)
        split = at + int(run_bytes[: n_measured[0]].sum())

        def stream(lengths: huffman.Lengths, measured: npt.NDArray[np.int64], part: Bytes) -> HuffmanStream:
            huffman.check_lengths(lengths, n_entries)
            if not len(measured):  # a stream without bits may have any number of runs: they take no memory
                measured = np.broadcast_to(np.int64(0), n_runs)
            return HuffmanStream(n_entries, lengths, measured, part)

        return cls(
            stream(code_lengths, run_bytes[: n_measured[0]], payload[at:split]),
            stream(gap_lengths, run_bytes[n_measured[0] :], payload[split:]),
            at,
        )


def huffman_payload(codes: HuffmanStream, gaps: HuffmanStream) -> list[bytes | Bytes]:
    """The pieces that `HuffmanParts.parse` cuts up again."""
    tables = code_table.pack(codes.lengths) + code_table.pack(gaps.lengths)
    measured = [stream.run_bytes for stream in (codes, gaps) if np.count_nonzero(stream.lengths) > 1]
    lengths = np.concatenate(measured) if measured else np.zeros(0, np.int64)
    return [tables, varint.pack_differences(lengths[:-1]), codes.payload, gaps.payload]
