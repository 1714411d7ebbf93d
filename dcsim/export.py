"""Decoded weights for other tools: safetensors, a torch state dict, scipy's sparse matrices."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dcsim.artifact import CompressedModel, Floats
from dcsim.artifact.layout import matrix_shape
from dcsim.checkpoint import write_checkpoint
from dcsim.errors import OutputError
from dcsim.files import write_bytes

if TYPE_CHECKING:
    import scipy.sparse
    import torch

SparseFormat = Literal["csr", "csc"]


def save_weights(model: CompressedModel, path: Path, sparse: SparseFormat = "csr") -> None:
    """Write the decoded weights in the format that the ending of `path` names.

    * `.safetensors`: every tensor, fp32, one at a time in memory.
    * `.pt`, `.pth`: a torch state dict. Needs torch.
    * `.npz`: every tensor of two and more dimensions as a sparse matrix of rows x everything else, by the arrays
      `<name>.data`, `.indices`, `.indptr` and `.shape`; the others as `<name>`. Needs scipy.

    Raises:
        ArtifactError: a stream does not decode.
        OutputError: the ending is none of these, what it needs is not installed, or the file cannot be written.
    """
    if path.suffix == ".safetensors":
        tensors = {tensor.name: tensor for tensor in model.tensors}
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        write_checkpoint(path, shapes, lambda name: tensors[name].decode())
    elif path.suffix in (".pt", ".pth"):
        content = state_dict(model)
        import torch

        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_bytes(path, buffer.getvalue())
    elif path.suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_sparse_arrays(model, sparse))
        write_bytes(path, buffer.getvalue())
    else:
        raise OutputError(f"cannot write {path}: the name must end in .safetensors, .pt, .pth or .npz")


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
    try:
        from scipy import sparse as kinds
    except ImportError as error:
        raise OutputError("sparse matrices need scipy, which is not installed: pip install scipy") from error
    kind = kinds.csr_array if sparse == "csr" else kinds.csc_array
    return {
        name: kind(values.reshape(matrix_shape(values.shape))) if values.ndim > 1 else values
        for name, values in model.decode().items()
    }


def _sparse_arrays(model: CompressedModel, sparse: SparseFormat) -> dict[str, np.ndarray]:
    arrays = {}
    for name, matrix in to_scipy(model, sparse).items():
        if isinstance(matrix, np.ndarray):
            arrays[name] = matrix
            continue
        for part in ("data", "indices", "indptr"):
            arrays[f"{name}.{part}"] = getattr(matrix, part)
        arrays[f"{name}.shape"] = np.array(matrix.shape)
    return arrays
