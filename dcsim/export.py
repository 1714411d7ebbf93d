"""Decoded weights for other tools: safetensors, a torch state dict, scipy's sparse matrices."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dcsim.artifact import CompressedModel, Floats
from dcsim.artifact.layout import matrix_shape
from dcsim.checkpoint import write_checkpoint
from dcsim.errors import OutputError
from dcsim.files import written

if TYPE_CHECKING:
    import scipy.sparse
    import torch

SparseFormat = Literal["csr", "csc"]
FORMATS = (".safetensors", ".pt", ".pth", ".npz")


def save_weights(model: CompressedModel, path: Path, sparse: SparseFormat = "csr") -> None:
    """Write the decoded weights in the format that the ending of `path` names.

    * `.safetensors`: every tensor, fp32, one at a time in memory.
    * `.pt`, `.pth`: a torch state dict. Needs torch.
    * `.npz`: every tensor of two and more dimensions as a sparse matrix of rows x everything else, by the arrays
      `<name>.data`, `.indices`, `.indptr` and `.shape`; the others as `<name>`; one at a time in memory. Needs scipy.

    Raises:
        ArtifactError: a stream does not decode.
        OutputError: the ending is none of these, what it needs is not installed, or the file cannot be written.
    """
    require_format(path)
    if path.suffix == ".safetensors":
        tensors = {tensor.name: tensor for tensor in model.tensors}
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        write_checkpoint(path, shapes, lambda name: tensors[name].decode())
    elif path.suffix in (".pt", ".pth"):
        content = state_dict(model)
        import torch

        try:
            with written(path) as temporary, temporary.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:  # torch's word for a disk that is full
            raise OutputError(f"cannot write {path}: {error}") from error
    else:
        with written(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, array in _sparse_arrays(model, sparse):  # np.savez has no room for a tensor of the name `file`
                with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)


def require_format(path: Path) -> None:
    """Refuse a name whose ending stands for no format. Raises OutputError."""
    if path.suffix not in FORMATS:
        raise OutputError(f"cannot write {path}: the name must end in {', '.join(FORMATS)}")


def state_dict(model: CompressedModel) -> "dict[str, torch.Tensor]":
    """The decoded weights as `load_state_dict` takes them. Raises ArtifactError, and OutputError without torch."""
    try:
        import torch
    except ImportError as error:
        raise OutputError("a state dict needs torch, which is not installed: pip install 'dcsim[torch]'") from error
    return {name: torch.from_numpy(np.array(values)) for name, values in model.decode().items()}


def to_scipy(
    model: CompressedModel, sparse: SparseFormat = "csr"
) -> "dict[str, scipy.sparse.csr_array | scipy.sparse.csc_array | Floats]":
    """Every tensor of two and more dimensions as a sparse matrix, rows x everything else; the others dense.

    Raises:
        ArtifactError: a stream does not decode.
        OutputError: scipy is not installed.
    """
    return dict(_matrices(model, sparse))


def _matrices(
    model: CompressedModel, sparse: SparseFormat
) -> "Iterator[tuple[str, scipy.sparse.csr_array | scipy.sparse.csc_array | Floats]]":
    try:
        from scipy import sparse as kinds
    except ImportError as error:
        raise OutputError("sparse matrices need scipy, which is not installed: pip install scipy") from error
    kind = kinds.csr_array if sparse == "csr" else kinds.csc_array
    for tensor in model.tensors:
        values = tensor.decode()
        yield tensor.name, kind(values.reshape(matrix_shape(values.shape))) if values.ndim > 1 else values


def _sparse_arrays(model: CompressedModel, sparse: SparseFormat) -> Iterator[tuple[str, np.ndarray]]:
    for name, matrix in _matrices(model, sparse):
        if isinstance(matrix, np.ndarray):
            yield name, matrix
            continue
        for part in ("data", "indices", "indptr"):
            yield f"{name}.{part}", getattr(matrix, part)
        yield f"{name}.shape", np.array(matrix.shape)
