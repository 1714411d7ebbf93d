"""Is a cut what sorting gives, and does packing lose nothing, for any weights there are?"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dcsim.artifact import CompressedModel, Floats, GapBits
from dcsim.checkpoint import open_checkpoint, write_checkpoint
from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.compression.cut import Cut, cut_at_density
from dcsim.compression.plan import MAX_CODE_BITS, AsIs, PostTraining
from dcsim.compression.post_training import compress_checkpoint, compress_tensor
from tests.unit.test_checkpoint import raw

laws = settings(max_examples=120, deadline=None)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
#: weights of any size, few distinct ones, magnitudes next to one another, denormals; zeros of both signs in all
elements = st.sampled_from(
    [floats, st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0]), st.integers(-9, 9).map(lambda n: n * 2.0**-149)]
)
flats = elements.flatmap(lambda kind: arrays(np.float32, st.integers(1, 400), elements=kind | st.just(0.0)))
densities = st.floats(0, 1, exclude_min=True) | st.sampled_from([0.5, 1.0, 1e-9])
shapes = array_shapes(min_dims=2, max_dims=3, max_side=9) | array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)
tensors = elements.flatmap(lambda kind: arrays(np.float32, shapes, elements=kind | st.just(0.0)))
gap_widths = st.sampled_from([*range(MAX_GAP_BITS + 1), "auto"])


def cut_by_sorting(flat: Floats, density: float) -> Floats:
    """The `round(density * n)` largest magnitudes, the earlier of two that are equal; zeros elsewhere."""
    order = np.argsort(-np.abs(flat), kind="stable")[: max(1, round(density * len(flat)))]
    found = np.zeros_like(flat)
    found[order] = flat[order]
    return found


def cut_in_parts(cut: Cut, flat: Floats, part_elements: int) -> Floats:
    found, n_ties = np.zeros_like(flat), 0
    for first in range(0, len(flat), part_elements):
        nonzeros, n_ties = cut.apply(flat[first : first + part_elements], n_ties)
        found[first + np.cumsum(nonzeros.skips.astype(np.int64) + 1) - 1] = nonzeros.values
    return found


@settings(max_examples=300, deadline=None)
@given(flats, densities, st.integers(1, 400))
def test_a_cut_is_what_a_stable_sort_gives_in_parts_of_any_size(
    flat: Floats, density: float, part_elements: int
) -> None:
    assert np.array_equal(
        cut_in_parts(cut_at_density(flat, density), flat, part_elements), cut_by_sorting(flat, density)
    )


@laws
@given(elements.flatmap(lambda kind: arrays(np.float32, 200, elements=kind)), densities, st.integers(1, 200))
def test_so_it_is_where_weights_are_many_and_repeat(pattern: Floats, density: float, n_repeated: int) -> None:
    flat = np.resize(pattern[:n_repeated], 70_000)  # more than is sampled
    assert np.array_equal(cut_in_parts(cut_at_density(flat, density), flat, 9_999), cut_by_sorting(flat, density))


@laws
@given(
    tensors,
    st.one_of(st.none(), densities),
    st.integers(1, MAX_CODE_BITS),
    gap_widths,
    st.sampled_from(["linear", "density", "optimal"]),
)
def test_pruning_and_sharing_keep_the_mask_and_few_values(
    values: Floats, density: float | None, code_bits: int, gap_bits: GapBits, centroids: Any
) -> None:
    found = compress_tensor("w", values, PostTraining(density, None, code_bits, gap_bits, centroids)).decode()
    assert found.shape == values.shape
    if values.ndim < 2:
        with np.errstate(over="ignore"):
            half = values.astype(np.float16).astype(np.float32)
        assert np.array_equal(found, half if np.isfinite(half).all() else values)
        return
    flat = values.reshape(-1)
    expected = flat if density is None or not len(flat) else cut_by_sorting(flat, density)
    assert np.array_equal(found.reshape(-1) != 0, expected != 0)
    assert len(np.unique(found[found != 0])) < 1 << code_bits


def stored_as(kind: str, values: Floats) -> tuple[bytes, Floats]:
    """The bytes of `values` in a float format, and what they are worth; fp32 values are rounded to it."""
    if kind == "BF16":
        upper = (values.view(np.uint32) if values.ndim else np.atleast_1d(values).view(np.uint32)) >> 16
        return upper.astype("<u2").tobytes(), (upper << 16).astype(np.uint32).view(np.float32).reshape(values.shape)
    with np.errstate(over="ignore"):
        rounded = values.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[kind])
    if not np.isfinite(rounded).all():
        rounded = np.clip(rounded, -60_000, 60_000)
    return rounded.tobytes(), rounded.astype(np.float32)


@laws
@given(st.lists(st.tuples(tensors, st.sampled_from(["F64", "F32", "F16", "BF16"])), min_size=1, max_size=4), gap_widths)
def test_as_is_brings_any_floats_back_bit_for_bit(contents: list[tuple[Floats, str]], gap_bits: GapBits) -> None:
    header, data, expected = {}, b"", {}
    for at, (values, kind) in enumerate(contents):
        stored, expected[f"tensor {at}"] = stored_as(kind, values)
        about = {"dtype": kind, "shape": values.shape, "data_offsets": [len(data), len(data) + len(stored)]}
        header[f"tensor {at}"], data = about, data + stored
    with TemporaryDirectory() as folder:
        path = raw(Path(folder) / "w.safetensors", header, data)
        compress_checkpoint(path, Path(folder) / "w.dcz", AsIs(gap_bits))
        model = CompressedModel.load(Path(folder) / "w.dcz")
        write_checkpoint(path, {tensor.name: tensor.shape for tensor in model.tensors}, model.decode().__getitem__)
        again = {entry.name: np.array(entry.read()) for entry in open_checkpoint(path)}
    for found in (model.decode(), again):
        assert [*found] == [*expected]
        for name, values in expected.items():
            bits = (values + np.float32(0)).tobytes()  # a negative zero becomes zero
            assert (found[name].shape, found[name].tobytes()) == (values.shape, bits)
