"""Is a file of weights packed bit for bit, or pruned and shared as asked for, whatever its size and its parts?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dcsim.artifact import CompressedModel, Floats, StoredTensor
from dcsim.compression import post_training
from dcsim.compression.plan import AsIs, PostTraining
from dcsim.compression.post_training import Packed, compress_checkpoint, compress_tensor
from dcsim.compression.share import kmeans, nearest
from dcsim.errors import NetworkError, OutputError
from tests.networks import network as kinds_of_tensors
from tests.networks import sparse
from tests.unit.test_checkpoint import raw, shards


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pruned(*shape: int, density: float = 0.1, seed: int = 0) -> Floats:
    """Weights of which `density` are not zero."""
    return normal(*shape, seed=seed) * (np.random.default_rng(seed + 1).random(shape) < density)


def compressed(
    tensors: dict[str, Any], folder: Path, plan: PostTraining | AsIs, **options: Any
) -> tuple[Packed, CompressedModel]:
    save_file({name: torch.as_tensor(values) for name, values in tensors.items()}, folder / "net.safetensors")
    done = compress_checkpoint(folder / "net.safetensors", folder / "net.dcz", plan, **options)
    return done, CompressedModel.load(folder / "net.dcz")


def same_bits(found: Floats, expected: Floats) -> bool:
    return (found.shape, found.dtype, found.tobytes()) == (expected.shape, np.float32, expected.tobytes())


# --- as is


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("gap_bits", ["auto", 0, 4])
def test_as_is_changes_no_bit_of_any_kind_of_tensor(tmp_path: Path, kind: torch.dtype, gap_bits: Any) -> None:
    tensors = {name: torch.from_numpy(values).to(kind) for name, values in kinds_of_tensors().items()}
    tensors = {name: tensor for name, tensor in tensors.items() if torch.isfinite(tensor).all()}
    done, model = compressed(tensors, tmp_path, AsIs(gap_bits))
    decoded = model.decode()
    assert decoded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        expected = tensor.float().numpy() + np.float32(0)  # all that may change is the sign of a zero
        assert same_bits(decoded[name], expected), name
    assert (done.n_tensors, done.n_parameters) == (len(tensors), sum(tensor.numel() for tensor in tensors.values()))
    assert (done.n_centroids, done.n_empty_centroids) == (0, 0)


def test_negative_zeros_are_all_that_as_is_does_not_keep(tmp_path: Path) -> None:
    values = np.float32([[-0.0, 1], [-1e-45, 0]])
    _, model = compressed({"w": values, "b": values[0]}, tmp_path, AsIs())
    decoded = model.decode()
    assert [np.signbit(decoded[name]).sum() for name in ("w", "b")] == [1, 0]
    assert np.array_equal(decoded["w"], values)


def test_what_was_pruned_and_shared_elsewhere_is_as_small_as_if_it_was_done_here(tmp_path: Path) -> None:
    shared = sparse(300, 200, density=0.1, n_values=15)
    done, model = compressed({"fc.weight": shared, "fc.bias": normal(300)}, tmp_path, AsIs())
    (tensor, bias) = sorted(model.tensors, key=lambda tensor: -tensor.n_elements)
    assert (tensor.encoding, tensor.n_codes, bias.encoding) == ("huffman", 16, "fp32")
    assert tensor.n_nonzero() == np.count_nonzero(shared)
    # four bits a code, gaps of mean 9: less than five; one bit for what they are not optimal by
    assert len(tensor.payload) * 8 < 10 * np.count_nonzero(shared)
    assert done.compression_ratio == model.compression_ratio == 4 * 60_300 / (tmp_path / "net.dcz").stat().st_size


def test_tensors_keep_the_order_in_which_they_lie(tmp_path: Path) -> None:
    for plan in (AsIs(), PostTraining()):
        files = {"z": torch.ones(2, 2), "m": torch.ones(3)}, {"b": torch.ones(1), "a": torch.ones(2, 3)}
        compress_checkpoint(shards(tmp_path, *files), tmp_path / "net.dcz", plan)
        found = [tensor.name for tensor in CompressedModel.load(tmp_path / "net.dcz").tensors]
        assert found == ["m", "z", "a", "b"]  # as the library that wrote them orders each file
        header = {
            name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * at, 4 * at + 4]} for at, name in enumerate("zam")
        }
        compress_checkpoint(raw(tmp_path / "one.safetensors", header, bytes(12)), tmp_path / "net.dcz", plan)
        assert [tensor.name for tensor in CompressedModel.load(tmp_path / "net.dcz").tensors] == ["z", "a", "m"]


def test_integers_are_left_out_and_named(tmp_path: Path) -> None:
    tensors = {"bn.num_batches_tracked": torch.tensor(3), "w": torch.ones(2, 2), "mask": torch.tensor([True])}
    for plan in (AsIs(), PostTraining()):
        done, model = compressed(tensors, tmp_path, plan)
        assert sorted(done.left_out) == ["bn.num_batches_tracked", "mask"]
        assert [tensor.name for tensor in model.tensors] == ["w"]
        assert (done.n_tensors, done.n_parameters, done.file_bytes) == (1, 4, model.file_bytes)


def test_several_files_make_the_same_as_one(tmp_path: Path) -> None:
    first, second = {"a": normal(30, 40), "b": normal(30)}, {"c": pruned(50, 60), "d": normal(50)}
    for plan in (AsIs(), PostTraining(density=0.3)):
        _, whole = compressed(first | second, tmp_path, plan, network="net")
        parts = [{name: torch.from_numpy(values) for name, values in part.items()} for part in (first, second)]
        compress_checkpoint(shards(tmp_path, *parts), tmp_path / "sharded.dcz", plan, network="net")
        assert CompressedModel.load(tmp_path / "sharded.dcz").content == whole.content


@pytest.mark.parametrize(("given", "recorded"), [(None, "net"), ("my own", "my own")])
def test_a_network_is_named_by_its_file_or_as_one_likes(tmp_path: Path, given: str | None, recorded: str) -> None:
    assert compressed({"w": normal(3)}, tmp_path, AsIs(), network=given)[1].network == recorded


# --- pruned


def survivors(tensor: StoredTensor) -> np.ndarray:
    return tensor.decode() != 0


@pytest.mark.parametrize("n_codes_bits", [1, 4, 8, 10])
@pytest.mark.parametrize("density", [0.001, 0.1, 0.5, 0.95, 1])
def test_exactly_the_largest_stay(density: float, n_codes_bits: int) -> None:
    values = normal(60, 50, 3)
    found = survivors(compress_tensor("w", values, PostTraining(density=density, code_bits=n_codes_bits)))
    assert found.sum() == round(density * values.size)
    assert density == 1 or np.abs(values[found]).min() > np.abs(values[~found]).max()


def test_ties_keep_the_earlier_position() -> None:
    values = np.float32([[1, -2, 2, 5], [-2, 2, 0, 2]])
    found = compress_tensor("w", values, PostTraining(density=0.5)).decode()
    assert found.tolist() == [[0, -2, 2, 5], [-2, 0, 0, 0]]


@pytest.mark.parametrize(
    "plan", [PostTraining(), PostTraining(density=0.11), PostTraining(density=1), PostTraining(threshold=1e-60)]
)
def test_a_tensor_that_comes_in_pruned_keeps_its_mask(plan: PostTraining) -> None:
    values = pruned(200, 100, density=0.1)
    assert np.array_equal(survivors(compress_tensor("w", values, plan)), values != 0)


def test_a_lower_density_prunes_further() -> None:
    values = pruned(200, 100, density=0.1)
    found = survivors(compress_tensor("w", values, PostTraining(density=0.04)))
    assert found.sum() == 800
    assert not found[values == 0].any()


def test_a_threshold_prunes_each_tensor_to_what_reaches_it() -> None:
    values = normal(100, 100)
    values[0, :2] = 0.5, -0.5
    assert np.array_equal(survivors(compress_tensor("w", values, PostTraining(threshold=0.5))), np.abs(values) >= 0.5)
    assert not survivors(compress_tensor("w", values, PostTraining(threshold=100.0))).any()


def test_weights_so_small_that_fp16_has_them_not_stay_nonzero() -> None:
    values = pruned(40, 30, density=0.2) * np.float32(1e-30)
    values[0] = np.float32(1e-45)
    for plan in (PostTraining(), PostTraining(code_bits=1), PostTraining(centroids="optimal")):
        assert np.array_equal(survivors(compress_tensor("w", values, plan)), values != 0)


def test_weights_past_the_range_of_fp16_are_kept_in_fp32() -> None:
    values = normal(40, 30) * np.float32(1e30)
    found = compress_tensor("w", values, PostTraining(code_bits=10, centroids="optimal")).decode()
    assert np.abs(found / values - 1).max() < 0.2


# --- shared


@pytest.mark.parametrize("centroids", ["linear", "density", "forgy", "optimal"])
@pytest.mark.parametrize("code_bits", [1, 2, 5, 8])
@pytest.mark.parametrize("density", [None, 0.2])
def test_weights_become_their_nearest_centroid(centroids: Any, code_bits: int, density: float | None) -> None:
    values = normal(70, 60)
    plan = PostTraining(density=density, code_bits=code_bits, centroids=centroids)
    found = compress_tensor("w", values, plan).decode()
    kept = values[found != 0]
    clusters = kmeans(kept, (1 << code_bits) - 1, initialization=centroids)
    used = np.unique(clusters.centroids[clusters.sizes > 0].astype(np.float32).astype(np.float16)).astype(np.float64)
    assert np.array_equal(found[found != 0], used[nearest(kept, used)].astype(np.float32))
    assert len(np.unique(found[found != 0])) <= (1 << code_bits) - 1


def test_few_values_are_kept_exactly_by_an_optimal_start() -> None:
    values = np.round(pruned(200, 100, density=0.5) * 16) / 16  # up to 128 distinct, exact in fp16
    assert 20 < len(np.unique(values)) < 255
    found = compress_tensor("w", values, PostTraining(centroids="optimal"))
    assert same_bits(found.decode(), values + np.float32(0))


def test_centroids_that_own_nothing_are_counted_and_not_stored(tmp_path: Path) -> None:
    values = np.where(normal(50, 40) < 0, np.float32(-1), np.float32(1))
    done, model = compressed({"w": values, "v": normal(40, 40), "b": normal(40)}, tmp_path, PostTraining(code_bits=4))
    found = {tensor.name: tensor for tensor in model.tensors}
    assert done.n_centroids == 2 * 15
    assert found["w"].n_codes == 3
    assert done.n_empty_centroids == 30 - 2 - (found["v"].n_codes - 1)
    assert set(found["v"].codes()) | {0} == set(range(found["v"].n_codes))


# --- small tensors


def test_one_dimension_is_stored_as_fp16_and_neither_pruned_nor_shared(tmp_path: Path) -> None:
    tensors = {"bias": normal(500), "scalar": np.array(0.1, np.float32), "w": normal(3, 3)}
    _, model = compressed(tensors, tmp_path, PostTraining(density=0.1, code_bits=2))
    found = {tensor.name: tensor for tensor in model.tensors}
    for name in ("bias", "scalar"):
        assert found[name].encoding == "fp16"
        assert same_bits(found[name].decode(), tensors[name].astype(np.float16).astype(np.float32))


def test_one_dimension_past_the_range_of_fp16_stays_as_it_is() -> None:
    values = np.float32([70_000, 0.1])
    assert same_bits(compress_tensor("running_var", values, PostTraining()).decode(), values)


@pytest.mark.parametrize("density", [0, 0.002, 0.2])
def test_one_dimension_is_stored_sparse_where_that_is_smaller(density: float) -> None:
    values = pruned(4096, density=density)
    values = np.where(values != 0, np.round(values * 4) / 4 + np.float32(8), np.float32(0))
    tensor = compress_tensor("gamma", values, PostTraining())
    assert tensor.is_sparse
    assert len(tensor.payload) < 2 * 4096 * max(density, 0.01)
    assert same_bits(tensor.decode(), values)


def test_the_directory_counts_where_sparse_and_plain_are_nearly_equal(tmp_path: Path) -> None:
    for n in (1, 6, 15, 30):
        for n_zeros in range(n + 1):
            values = np.append(np.zeros(n_zeros), np.ones(n - n_zeros)).astype(np.float32)
            done, _ = compressed({"b": values}, tmp_path, PostTraining())
            as_fp16, _ = compressed({"b": values}, tmp_path, AsIs())
            assert done.file_bytes <= as_fp16.file_bytes


# --- gaps


def test_gap_bits_are_those_given_or_those_that_make_it_smallest() -> None:
    values = normal(300, 200)
    sizes = {}
    for gap_bits in range(17):
        tensor = compress_tensor("w", values, PostTraining(density=0.1, gap_bits=gap_bits))
        assert (tensor.encoding, tensor.gap_bits) == ("huffman", gap_bits)
        assert survivors(tensor).sum() == 6000
        sizes[gap_bits] = len(tensor.payload)
    auto = compress_tensor("w", values, PostTraining(density=0.1))
    assert len(auto.payload) <= min(sizes.values()) + 2  # what fills up the last bytes is not compared
    assert max(sizes.values()) > 1.1 * min(sizes.values())


# --- parts and samples


PARTS = {
    "normal": (normal(50, 200), PostTraining()),
    "with zeros": (pruned(50, 200, density=0.95), PostTraining()),
    "pruned": (normal(50, 200), PostTraining(density=0.1)),
    "by threshold": (normal(50, 200), PostTraining(threshold=2.0, code_bits=3)),
    "very sparse": (pruned(50, 200, density=0.001), PostTraining(density=0.5)),
    "ties": (np.round(normal(50, 200)), PostTraining(density=0.3, code_bits=10)),
    "ties and gaps": (np.round(normal(50, 200)), PostTraining(density=0.3, gap_bits=2)),
    "one value": (np.full((50, 200), 0.1, np.float32), PostTraining(density=0.123)),
    "last alone": (np.append(np.zeros(9999), 1).astype(np.float32).reshape(50, 200), PostTraining()),
    "first alone": (np.append(1, np.zeros(9999)).astype(np.float32).reshape(50, 200), PostTraining(threshold=0.5)),
    "all zero": (np.zeros((50, 200), np.float32), PostTraining(density=0.5)),
    "many codes": (normal(50, 200), PostTraining(code_bits=10, centroids="density")),
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("tried", [1 << 22, 0], ids=["all layouts", "as coded"])
def test_the_size_of_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch, name: str, tried: int) -> None:
    values, plan = PARTS[name]
    monkeypatch.setattr(post_training, "TRY_LAYOUTS_ELEMENTS", tried)
    whole = compress_tensor("w", values, plan)
    for part_elements in (9_999, 777, 33):
        monkeypatch.setattr(post_training, "PART_ELEMENTS", part_elements)
        found = compress_tensor("w", values, plan)
        assert found.payload.tobytes() == whole.payload.tobytes(), part_elements
        assert (found.encoding, found.gap_bits, found.n_entries) == (whole.encoding, whole.gap_bits, whole.n_entries)


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_tensor_that_is_only_sampled_change_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    values, plan = PARTS[name]
    for constant, size in {"WHOLE_ELEMENTS": 1000, "SAMPLE_ELEMENTS": 300, "SAMPLE_RUN": 16}.items():
        monkeypatch.setattr(post_training, constant, size)
    whole = compress_tensor("w", values, plan)
    for part_elements in (9_999, 333):
        monkeypatch.setattr(post_training, "PART_ELEMENTS", part_elements)
        assert compress_tensor("w", values, plan).payload.tobytes() == whole.payload.tobytes(), part_elements


@pytest.mark.parametrize("name", PARTS)
def test_small_and_large_tensors_are_compressed_alike(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    values, plan = PARTS[name]
    small = compress_tensor("w", values, plan)
    monkeypatch.setattr(post_training, "TRY_LAYOUTS_ELEMENTS", 0)
    large = compress_tensor("w", values, plan)
    assert np.array_equal(large.decode(), small.decode())
    monkeypatch.setattr(post_training, "DENSE", 2.0)  # never without gaps
    assert np.array_equal(compress_tensor("w", values, plan).decode(), small.decode())


@pytest.mark.parametrize("name", PARTS)
def test_a_sample_prunes_as_exactly(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    values, plan = PARTS[name]
    whole = compress_tensor("w", values, plan).decode()
    for constant, size in {"WHOLE_ELEMENTS": 1000, "SAMPLE_ELEMENTS": 300, "SAMPLE_RUN": 16}.items():
        monkeypatch.setattr(post_training, constant, size)
    assert np.array_equal(survivors(compress_tensor("w", values, plan)), whole != 0)


def test_centroids_of_a_sample_are_nearly_as_good_as_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal(500, 400)
    for plan in (PostTraining(code_bits=4, centroids="optimal"), PostTraining(density=0.3, code_bits=4)):
        kept = survivors(compress_tensor("w", values, plan))
        errors = []
        for whole_elements in (1 << 22, 1000):
            with monkeypatch.context() as changed:
                changed.setattr(post_training, "WHOLE_ELEMENTS", whole_elements)
                changed.setattr(post_training, "SAMPLE_ELEMENTS", 20_000)
                changed.setattr(post_training, "SAMPLE_RUN", 64)
                found = compress_tensor("w", values, plan).decode()
            assert np.array_equal(found != 0, kept)
            errors.append(float(((found - values)[kept] ** 2).sum()))
        assert errors[0] != errors[1]  # it was a sample
        assert errors[1] < 1.02 * errors[0]


@pytest.mark.parametrize("at", ["tail", "where no probe is", "where no sample is"])
def test_what_a_sample_misses_is_not_lost(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    for constant, size in {"WHOLE_ELEMENTS": 1000, "SAMPLE_ELEMENTS": 500, "SAMPLE_RUN": 16, "PROBE_RUNS": 4}.items():
        monkeypatch.setattr(post_training, constant, size)
    flat = np.zeros(10_007, np.float32)
    runs = flat[: 10_007 // 16 * 16].reshape(-1, 16)  # 625 runs, of which every 156th is probed
    if at == "tail":
        flat[-3:] = 1, 2, 3
    elif at == "where no probe is":
        runs[1::156] = 1.5
    else:
        runs[156::156] = 2.5  # 4 of the 5 runs of the probe, so that it expects 8000 and the sample is every 16th
    values = flat.reshape(1, -1)
    for plan in (PostTraining(), PostTraining(threshold=0.5), PostTraining(density=0.9)):
        assert np.array_equal(compress_tensor("w", values, plan).decode(), values)


def test_a_sample_of_nothing_is_not_taken_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, size in {"WHOLE_ELEMENTS": 1000, "SAMPLE_ELEMENTS": 200, "SAMPLE_RUN": 16, "PROBE_RUNS": 4}.items():
        monkeypatch.setattr(post_training, constant, size)
    values = np.zeros((625, 16), np.float32)
    values[156] = values[468] = 2.5  # 2 of the 5 probed runs; a sample of every 20th has neither
    assert np.array_equal(compress_tensor("w", values, PostTraining()).decode(), values)


# --- what cannot be


@pytest.mark.parametrize("shape", [(20, 30), (600,), (2, 3, 100)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "plan", [AsIs(), PostTraining(), PostTraining(density=0.1), PostTraining(threshold=5.0)], ids=str
)
def test_weights_that_are_not_finite_are_refused_by_file_and_tensor(
    tmp_path: Path, shape: tuple[int, ...], value: float, plan: Any
) -> None:
    values = normal(600)
    values[599] = value
    with pytest.raises(NetworkError, match=f"{tmp_path / 'net.safetensors'}: fc.weight.* not finite"):
        compressed({"a": normal(3), "fc.weight": values.reshape(shape)}, tmp_path, plan)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("plan", [AsIs(), PostTraining()])
@pytest.mark.parametrize("shape", [(2, 1, 1, 1, 1, 1, 1, 1, 3), (1 << 33, 0)])
def test_shapes_that_no_file_can_hold_are_refused_before_work_begins(
    tmp_path: Path, shape: tuple[int, ...], plan: Any
) -> None:
    n_bytes = 4 * int(np.prod(shape))
    header = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, n_bytes]}}
    path = raw(tmp_path / "w.safetensors", header, bytes(n_bytes))
    with pytest.raises(
        NetworkError, match=f"{path}: w, shape .* cannot be stored: at most 8 dimensions and 4294967296 el"
    ):
        compress_checkpoint(path, tmp_path / "w.dcz", plan, on_progress=lambda *about: pytest.fail("work began"))
    assert not (tmp_path / "w.dcz").exists()


def test_more_tensors_than_a_file_can_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_training, "MAX_TENSORS", 2)
    compressed({"a": normal(1), "b": normal(1), "n": torch.tensor(1)}, tmp_path, AsIs())
    with pytest.raises(NetworkError, match=r"net.safetensors has 3 tensors, at most 2 can be stored"):
        compressed(dict.fromkeys("abc", 0.5), tmp_path, AsIs())


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    for tensors, n in (({"n": torch.tensor(1)}, 1), ({}, 0)):
        with pytest.raises(NetworkError, match=f"net.safetensors holds no weights: none of its {n} tensors"):
            compressed(tensors, tmp_path, AsIs())
    assert not (tmp_path / "net.dcz").exists()


def test_weights_are_not_overwritten_by_what_is_made_of_them(tmp_path: Path) -> None:
    parts = {"a": torch.ones(1)}, {"b": torch.ones(1)}
    shards(tmp_path, *parts)
    path = tmp_path / "model-00002-of-00002.safetensors"
    before = path.read_bytes()
    (tmp_path / "link.dcz").symlink_to(path)
    for output in (path, tmp_path / "link.dcz"):
        with pytest.raises(OutputError, match=f"cannot write {output}: it is read from; name another file"):
            compress_checkpoint(tmp_path / "model.safetensors.index.json", output, AsIs())
    assert path.read_bytes() == before


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    (tmp_path / "net.dcz").write_bytes(b"old")
    bad = np.float32([[np.nan]])
    with pytest.raises(NetworkError):
        compressed({"a": normal(30, 30), "b": bad}, tmp_path, PostTraining())
    assert (tmp_path / "net.dcz").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.dcz", "net.safetensors"]


def test_progress_is_told_tensor_by_tensor(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int, str]] = []
    compressed({"a": normal(10, 10), "b": normal(5)}, tmp_path, AsIs(), on_progress=lambda *about: heard.append(about))
    assert [about[:3] for about in heard] == [("compress", 400, 420), ("compress", 420, 420)]
    assert [about[3].split(", ")[1] for about in heard] == ["a", "b"]


def test_twice_the_same_is_the_same_to_the_bit(tmp_path: Path) -> None:
    plan = PostTraining(density=0.3, centroids="forgy")
    one, two = (compressed({"w": normal(100, 90)}, tmp_path, plan)[1].content for _ in range(2))
    assert one == two
