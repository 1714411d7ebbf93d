"""Address traces in the text form of DRAMsim3: a line `0xADDRESS READ|WRITE CYCLE` for each request."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import TraceError
from dcsim.soc.dram_controller import DramRequests

MOST_CYCLES = 1 << 40  # twenty minutes of LPDDR3; later requests would only be refreshes to wait for
SHOWN_CHARACTERS = 60
EXPECTED = {
    "address": "a hexadecimal address of at most 64 bits, 0x...",
    "operation": "READ or WRITE after the address",
    "cycle": f"the earliest cycle, a whole number up to {MOST_CYCLES:,}, after the operation",
    "more": "no more than 0xADDRESS READ|WRITE CYCLE",
}


def read_trace(path: Path) -> DramRequests:
    """The requests of a trace: hexadecimal byte address, READ or WRITE, earliest cycle of the DRAM clock.

    Raises:
        TraceError: the file cannot be read, is empty, or a line is of another form: its number, what was expected and
            what was found.
    """
    from dcsim.soc import dram_trace_kernels as kernels  # numba takes half a second to import

    try:
        content = path.read_bytes()
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error
    text = np.frombuffer(content, np.uint8)
    n_lines = np.count_nonzero(text == kernels.NEWLINE) + 1
    addresses, writes = np.empty(n_lines, np.uint64), np.empty(n_lines, np.bool_)
    earliest_cycles = np.empty(n_lines, np.int64)
    n, line, fault = kernels.parse(text, MOST_CYCLES, addresses, writes, earliest_cycles)
    if fault:
        expected = EXPECTED[kernels.FAULTS[fault]]
        raise TraceError(f"{path}:{line}: expected {expected}; found {_shown(text, line)}")
    if n == 0:
        raise TraceError(f"{path} holds no request: expected a line 0xADDRESS READ|WRITE CYCLE for each")
    return DramRequests(addresses[:n], writes[:n], earliest_cycles[:n])


def _shown(text: npt.NDArray[np.uint8], line: int) -> str:
    """A line of the text, as a message can show it."""
    ends = np.flatnonzero(text == ord("\n"))
    first = 0 if line == 1 else ends[line - 2] + 1
    shown = bytes(text[first : ends[line - 1] if line <= len(ends) else len(text)])
    words = repr(shown[:SHOWN_CHARACTERS].decode(errors="replace").rstrip())
    return words + (" ..." if len(shown) > SHOWN_CHARACTERS else "")
