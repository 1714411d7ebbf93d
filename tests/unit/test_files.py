"""Do files appear whole or not at all?"""

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dcsim.errors import OutputError
from dcsim.files import require_writable, sha256, sha256_of_file, write_bytes, written


@contextmanager
def disk_that_fills_up(after_bytes: int) -> Iterator[None]:
    """No file of this process can grow past `after_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_content_is_written_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_at_the_path_while_it_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with written(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_bytes() == b"half"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, failure: type[BaseException]) -> None:
    def fail() -> None:
        with written(tmp_path / "file.bin") as temporary:
            temporary.write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_old_content_survives_a_disk_that_fills_up(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with disk_that_fills_up(1000), pytest.raises(OutputError, match=f"cannot write {path}: File too large"):
        write_bytes(path, bytes(2000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_old_content_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"something longer")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("mask", "permissions"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path, mask: int, permissions: int) -> None:
    path = tmp_path / "file.bin"
    with umask(mask):
        write_bytes(path, b"")
        assert os.umask(mask) == mask  # and the process keeps its own
    assert path.stat().st_mode & 0o777 == permissions


def test_a_folder_as_target_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for check in (lambda path: write_bytes(path, b""), require_writable):
        with pytest.raises(OutputError, match="it is a folder; name a file"):
            check(tmp_path / "folder")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "inside"]


def test_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for check in (lambda path: write_bytes(path, b""), require_writable):
        with pytest.raises(OutputError, match="it is a device or a pipe; name a file"):
            check(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "link").symlink_to("inside/file")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "inside" / "file").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "inside", "link"]


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    for check in (lambda path: write_bytes(path, b""), require_writable):
        for path in (tmp_path / "file" / "x", tmp_path / "file" / "x" / "y"):
            with pytest.raises(OutputError, match=f"cannot write {path}"):
                check(path)
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("permissions", [0o500, 0o000])
def test_a_folder_without_permission_is_refused(tmp_path: Path, permissions: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(permissions)
    try:
        for check in (lambda path: write_bytes(path, b""), require_writable):
            with pytest.raises(OutputError, match=r"(?i)permission denied"):
                check(folder / "file.bin")
    finally:
        folder.chmod(0o700)


def test_checking_a_path_leaves_nothing_behind(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b" / "file.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/file.bin"], ids=["file", "folder"])
def test_a_name_too_long_for_the_file_system_is_refused(tmp_path: Path, name: str) -> None:
    for check in (lambda path: write_bytes(path, b""), require_writable):
        with pytest.raises(OutputError, match="File name too long"):
            check(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"abc", bytes(300_000)])
def test_fingerprints_are_those_of_the_standard(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    assert sha256(content) == sha256_of_file(path) == hashlib.sha256(content).hexdigest()


def test_fingerprint_of_abc() -> None:  # FIPS 180-2, appendix B.1
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
