"""Are weights read from safetensors files as they are, in any float format and any number of files, or refused by name?"""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import save_file

from dcsim.checkpoint import TensorEntry, open_checkpoint, write_checkpoint
from dcsim.errors import NetworkError, OutputError
from dcsim.files import write_bytes

ONE = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def raw(path: Path, header: object, data: bytes = b"") -> Path:
    """A safetensors file whose header may say anything; bytes are written as they are."""
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(packed).to_bytes(8, "little") + packed + data)
    return path


def one(**changes: object) -> dict[str, object]:
    return {"w": {**ONE["w"], **changes}}


def values(entries: tuple[TensorEntry, ...]) -> dict[str, list[Any]]:
    return {entry.name: entry.read().tolist() for entry in entries}


def shards(folder: Path, *contents: dict[str, torch.Tensor], index: dict[str, str] | None = None) -> Path:
    """A network in several files, and its index; without `index` a right one."""
    names = [f"model-{n:05d}-of-{len(contents):05d}.safetensors" for n in range(1, len(contents) + 1)]
    right = {name: file for file, tensors in zip(names, contents, strict=True) for name in tensors}
    for file, tensors in zip(names, contents, strict=True):
        save_file(tensors, folder / file)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": right if index is None else index}))
    return path


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_every_value_of_a_float_format_is_read_exactly(tmp_path: Path, kind: torch.dtype) -> None:
    size = torch.finfo(kind).bits
    if size == 16:
        tensor = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(kind)  # every value there is
    else:
        generator = torch.Generator().manual_seed(0)
        tensor = torch.randint(-(1 << 31), 1 << 31, (50_000,), generator=generator).int().view(torch.float32).to(kind)
    expected = tensor.float().numpy()
    save_file({"first": torch.ones(3).to(kind), "w": tensor}, tmp_path / "w.safetensors")
    entry = open_checkpoint(tmp_path / "w.safetensors")[1]
    found = entry.read()
    assert found.dtype == np.float32
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(expected))
    assert (entry.n_elements, entry.n_bytes) == (len(tensor), len(tensor) * size // 8)


@pytest.mark.parametrize("value", [0.1, 1e300, -1e-60, 1 + 2**-24])
def test_float64_that_fp32_cannot_hold_is_refused_and_named(tmp_path: Path, value: float) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a.weight": torch.tensor([1.0, value], dtype=torch.float64)}, path)
    with pytest.raises(NetworkError, match=f"{path}: a.weight has float64 values that fp32 cannot hold"):
        open_checkpoint(path)[0].read()


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (4, 0, 2), (1,), (2, 3, 4, 5)])
def test_shapes_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    expected = torch.arange(float(np.prod(shape))).reshape(shape)
    save_file({"w": expected}, tmp_path / "w.safetensors")
    (entry,) = open_checkpoint(tmp_path / "w.safetensors")
    assert entry.shape == entry.read().shape == shape
    assert np.array_equal(entry.read(), expected.numpy())


def test_tensors_come_in_the_order_in_which_they_lie(tmp_path: Path) -> None:
    header = {
        "second": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        "__metadata__": {"format": "pt"},
        "nothing": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]},
        "first": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    path = raw(tmp_path / "w.safetensors", header, np.float32([1, 2]).tobytes())
    assert [*values(open_checkpoint(path)).items()] == [("first", [1]), ("nothing", []), ("second", [2])]


@pytest.mark.parametrize("n_spaces", range(8))
def test_a_header_of_any_length_is_read(tmp_path: Path, n_spaces: int) -> None:
    header = json.dumps(one(shape=[1, 2])).encode() + b" " * n_spaces  # so that weights begin at any byte
    path = raw(tmp_path / "w.safetensors", header, np.float32([1, 2]).tobytes())
    assert values(open_checkpoint(path)) == {"w": [[1, 2]]}


def test_integers_are_found_but_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"count": torch.tensor(3), "mask": torch.tensor([True]), "w": torch.ones(2)}, path)
    kinds = {entry.name: entry for entry in open_checkpoint(path)}
    assert {name: entry.is_float for name, entry in kinds.items()} == {"count": False, "mask": False, "w": True}
    with pytest.raises(NetworkError, match=f"{path}: count has type I64, expected F64, F32, F16, BF16"):
        kinds["count"].read()


def test_fp32_is_looked_at_where_it_lies(tmp_path: Path) -> None:
    save_file({"w": torch.ones(1_000_000)}, tmp_path / "w.safetensors")
    tracemalloc.start()
    try:
        found = open_checkpoint(tmp_path / "w.safetensors")[0].read()
        assert found.sum() == 1_000_000
        assert tracemalloc.get_traced_memory()[1] < found.nbytes / 10
    finally:
        tracemalloc.stop()
    assert not found.flags.writeable


def test_files_of_one_network_are_read_as_one_by_index_or_by_any_of_them(tmp_path: Path) -> None:
    index = shards(tmp_path, {"b": torch.ones(2), "c": torch.zeros(1)}, {"a": torch.ones(1)}, {"d": torch.ones(0)})
    expected = [("b", [1, 1]), ("c", [0]), ("a", [1]), ("d", [])]
    for path in (index, *tmp_path.glob("model-*.safetensors")):
        assert [*values(open_checkpoint(path)).items()] == expected
    assert {entry.file.name for entry in open_checkpoint(index)} == {
        f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)
    }


def test_a_missing_file_of_several_is_named(tmp_path: Path) -> None:
    index = shards(tmp_path, {"a": torch.ones(1)}, {"b": torch.ones(1)})
    gone = tmp_path / "model-00002-of-00002.safetensors"
    gone.unlink()
    for path in (index, tmp_path / "model-00001-of-00002.safetensors"):
        with pytest.raises(NetworkError, match=f"cannot read the weights {gone}: No such file or directory$"):
            open_checkpoint(path)


def test_a_tensor_in_two_files_is_named_with_them(tmp_path: Path) -> None:
    index = shards(tmp_path, {"a": torch.ones(1), "b": torch.ones(1)}, {"b": torch.ones(1)})
    files = "model-00001-of-00002.safetensors, model-00002-of-00002.safetensors"
    for path in (index, tmp_path / "model-00002-of-00002.safetensors"):
        with pytest.raises(NetworkError, match=f"{path}: b is in more than one file: {files}$"):
            open_checkpoint(path)


def test_an_index_that_names_what_no_file_has_is_refused(tmp_path: Path) -> None:
    file = "model-00001-of-00001.safetensors"
    index = shards(tmp_path, {"a": torch.ones(1)}, index={"a": file, "lost": file})
    with pytest.raises(NetworkError, match=f"{index} names lost, which its files do not have"):
        open_checkpoint(index)


def test_an_index_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "../w.safetensors"}}))
    with pytest.raises(NetworkError, match="expected files beside it"):
        open_checkpoint(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", "{}", '{"weight_map": 3}', '{"weight_map": ["a"]}', "[" * 100_000, b"\xff"],
    ids=["empty", "cut", "list", "number", "other", "no map", "map of none", "deep", "not text"],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NetworkError, match=f"cannot read the weights {path}: expected an index of files"):
        open_checkpoint(path)


@pytest.mark.parametrize("name", ["none.safetensors", "none.safetensors.index.json", "folder", "x" * 300])
def test_a_file_that_is_not_there_is_named_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(NetworkError) as caught:
        open_checkpoint(tmp_path / name)
    assert str(caught.value).startswith(f"cannot read the weights {tmp_path / name}: ")
    assert str(caught.value).count(name) == 1


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "not a safetensors file, or cut off"),
        (b'{"w"', "its header is damaged"),
        (b"\xff\xfe{}", "its header is damaged"),
        (b'{"w":' + b"[" * 100_000, "its header is damaged"),
        (b"[1, 2]", "its header is not a table"),
        (b'{"w":1,"w":2}', "its header is damaged: w stands in it twice"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: bytes, reason: str) -> None:
    path = raw(tmp_path / "w.safetensors", header)
    with pytest.raises(NetworkError, match=f"cannot read the weights {path}: {reason}"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        "F32",
        {},
        {"dtype": "F32", "shape": [2]},
        {"dtype": "F32", "data_offsets": [0, 8]},
        {"shape": [2], "data_offsets": [0, 8]},
        {**ONE["w"], "data_offsets": [0, 8, 16]},
        {**ONE["w"], "data_offsets": [0]},
        {**ONE["w"], "data_offsets": 8},
        {**ONE["w"], "data_offsets": [-4, 4]},
        {**ONE["w"], "data_offsets": [8, 0]},
        {**ONE["w"], "data_offsets": [0, 4]},
        {**ONE["w"], "data_offsets": [0, 12]},
        {**ONE["w"], "data_offsets": [0.0, 8.0]},
        {**ONE["w"], "data_offsets": ["0", "8"]},
        {**ONE["w"], "data_offsets": [float("nan"), 8]},
        {**ONE["w"], "data_offsets": [1 << 80, (1 << 80) + 8]},
        {**ONE["w"], "shape": [-2]},
        {**ONE["w"], "shape": [-1, -2]},
        {**ONE["w"], "shape": [2.0]},
        {**ONE["w"], "shape": "2"},
        {**ONE["w"], "shape": [True, 2]},
        {**ONE["w"], "shape": None},
        {**ONE["w"], "shape": [float("inf")]},
        {**ONE["w"], "shape": [1] * 70 + [2]},
        {"dtype": "F32", "shape": [1 << 62, 1 << 62, 0], "data_offsets": [0, 0]},
    ],
    ids=str,
)
def test_an_entry_that_makes_no_sense_is_named(tmp_path: Path, about: object) -> None:
    path = raw(tmp_path / "w.safetensors", {"a.weight": about}, bytes(8))
    with pytest.raises(NetworkError, match=f"{path}: the header's entry of 'a.weight' makes no sense: "):
        open_checkpoint(path)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = raw(tmp_path / "w.safetensors", {"\ud800": ONE["w"]}, bytes(8))
    with pytest.raises(NetworkError, match=r"entry of '\\ud800' makes no sense"):
        open_checkpoint(path)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4", "C64", "float32", 7])
def test_a_format_that_is_not_known_is_named(tmp_path: Path, dtype: object) -> None:
    path = raw(tmp_path / "w.safetensors", one(dtype=dtype), bytes(8))
    with pytest.raises(NetworkError, match=f"{path}: w has type {dtype}, expected F64, F32, F16, BF16"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("offsets", "n_bytes", "reason"),
    [
        ([[0, 8], [4, 12]], 12, "v overlaps the tensor before it"),
        ([[0, 8], [0, 8]], 8, "v overlaps the tensor before it"),
        ([[0, 8], [12, 20]], 20, "v leaves bytes before it to no tensor"),
        ([[4, 12], [12, 20]], 20, "w leaves bytes before it to no tensor"),
        ([[0, 8], [8, 16]], 17, "1 bytes at the end belong to no tensor"),
        ([[0, 8], [8, 16]], 15, "v ends after the file does: the file is cut off"),
    ],
)
def test_tensors_that_do_not_lie_one_after_the_other_are_refused(
    tmp_path: Path, offsets: list[list[int]], n_bytes: int, reason: str
) -> None:
    header = {name: {**ONE["w"], "data_offsets": at} for name, at in zip("wv", offsets, strict=True)}
    path = raw(tmp_path / "w.safetensors", header, bytes(n_bytes))
    with pytest.raises(NetworkError, match=f"{path}: {reason}"):
        open_checkpoint(path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3), "b": torch.ones(2, dtype=torch.int64)}, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(NetworkError, match=f"{path}: .*cut off"):
            open_checkpoint(path)


def test_every_altered_byte_of_a_header_is_refused_or_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3), "b": torch.ones(2, 2).half()}, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    path, n_refused = tmp_path / "altered.safetensors", 0
    end = 8 + int.from_bytes(whole[:8], "little")
    for at in range(end):
        for mask in (1, 16, 128):
            altered = bytearray(whole)
            altered[at] ^= mask
            path.write_bytes(altered)
            try:
                for entry in open_checkpoint(path):
                    if entry.is_float:
                        entry.read()
            except NetworkError as error:
                assert str(path) in str(error)
                n_refused += 1
    assert n_refused > end


def test_what_is_written_is_read_by_the_library_and_by_this(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    content = {
        "z.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "größe": np.float32([1e-45, -0.0, 3e38]),
        "scalar": np.array(0.5, np.float32),
        "nothing": np.zeros((0, 5), np.float32),
        "a": np.arange(8, dtype=np.float32).reshape(2, 2, 2).T,  # not contiguous
    }
    write_checkpoint(path, {name: array.shape for name, array in content.items()}, content.__getitem__)
    assert [entry.name for entry in open_checkpoint(path)] == [*content]
    for found in (load_numpy(path), {entry.name: entry.read() for entry in open_checkpoint(path)}):
        assert found.keys() == content.keys()
        for name, array in content.items():
            assert (found[name].shape, found[name].tobytes()) == (array.shape, array.tobytes()), name
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0  # so that weights can be looked at where they lie


def test_one_tensor_at_a_time_is_written(tmp_path: Path) -> None:
    n_decoded = 0

    def decode(name: str) -> np.ndarray:
        nonlocal n_decoded
        n_decoded += 1
        return np.ones(1_000_000, np.float32)

    tracemalloc.start()
    try:
        write_checkpoint(tmp_path / "w.safetensors", dict.fromkeys("abcdef", (1_000_000,)), decode)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * 4_000_000
    finally:
        tracemalloc.stop()
    assert n_decoded == 6


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    def decode(name: str) -> np.ndarray:
        if name == "b":
            raise failure
        return np.ones(3, np.float32)

    with pytest.raises(failure):
        write_checkpoint(tmp_path / "w.safetensors", {"a": (3,), "b": (3,)}, decode)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"")
    with pytest.raises(OutputError, match=f"cannot write {tmp_path / 'file' / 'w.safetensors'}"):
        write_checkpoint(tmp_path / "file" / "w.safetensors", {}, lambda name: np.zeros(0, np.float32))
