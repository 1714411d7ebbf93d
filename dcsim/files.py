"""Files that appear whole or not at all, and their fingerprints."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcsim.errors import OutputError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any failure.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    temporary = None
    try:
        target = path.resolve()  # what a link leads to is written, and the link stays
        target.parent.mkdir(parents=True, exist_ok=True)
        _require_ordinary(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; these are ordinary ones
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Whether `path` is a file; a name that no file can have is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all. Raises OutputError."""
    with written(path) as temporary:
        temporary.write_bytes(content)


def require_writable(path: Path) -> None:
    """Refuse an output path now rather than after minutes of work. Leaves nothing behind. Raises OutputError."""
    folder = path.parent
    try:
        while not folder.exists():
            folder = folder.parent
        _require_ordinary(path)
        if not folder.is_dir():
            raise OutputError(f"cannot write {path}: {folder} is not a folder")
        if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise OutputError(f"cannot write {path}: permission denied")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _require_ordinary(path: Path) -> None:
    """Refuse a folder, and a device or pipe, which renaming would replace by a file. Raises OutputError."""
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write {path}: it is a device or a pipe; name a file")


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of the file at `path`, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
