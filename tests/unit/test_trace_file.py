"""Does a trace come back from its file as it was, and is every file that is not one refused?"""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dcsim.artifact import Block
from dcsim.errors import OutputError, TraceError
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import INPUT, Trace, consumers
from tests.builders import coded, elementwise, linear, network, table_network

MEASURED = replace(
    linear("conv1", k=9, n=3, m=4, encoding="huffman", blocks=(Block("codebook", 0, 4, 64), *coded(20, 2, 3))),
    weight_bitmap=bytes([0b10110101, 0xFF, 0x00, 0b00000111]),
    column_nonzeros=(4, 0, 3, 2, 1, 0, 0, 4, 4),
)
TRACE = network(
    MEASURED,
    elementwise("pool1", 12, 3, producers=(0,)),
    elementwise("add", 6, 3, producers=(0, 1)),
    test_error=1 / 3,
    variant="huffman",
    file_sha256="ab" * 32,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "toy.parquet"
    TRACE.save(path)
    return path


@pytest.mark.parametrize("trace", [TRACE, synthesize(table_network({"n_inputs": 40, "n_outputs": 30}), "shared")])
def test_a_trace_comes_back_equal(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.parquet")
    assert Trace.load(tmp_path / "t.parquet") == trace


def test_the_same_trace_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    TRACE.save(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == saved.read_bytes()


def test_any_parquet_reader_can_open_it(saved: Path) -> None:
    rows = pq.ParquetFile(saved).read().to_pylist()
    assert [row["name"] for row in rows] == ["conv1", "pool1", "add"]
    assert rows[0]["blocks"][1] == {"stream": "codes", "block": 0, "n_symbols": 20, "n_bits": 40}


def test_layers_frame_has_a_row_per_layer_and_no_bulk() -> None:
    frame = TRACE.layers_frame()
    assert list(frame["name"]) == ["conv1", "pool1", "add"]
    assert list(frame["n_macs_dense"]) == [108, 0, 0]  # 4 x 3 x 9
    assert not {"blocks", "weight_bitmap", "column_nonzeros"} & set(frame.columns)


def test_blocks_frame_has_a_row_per_block() -> None:
    frame = TRACE.blocks_frame()
    assert list(frame.itertuples(index=False, name=None)) == [
        ("conv1", "codebook", 0, 4, 64),
        ("conv1", "codes", 0, 20, 40),
        ("conv1", "gaps", 0, 20, 60),
    ]


def test_blocks_frame_of_a_network_without_weights_keeps_its_columns() -> None:
    frame = network(elementwise("add", 4, 4, producers=(INPUT,))).blocks_frame()
    assert (len(frame), list(frame.columns)) == (0, ["layer", "stream", "block", "n_symbols", "n_bits"])


def test_streams_add_up_their_blocks() -> None:
    blocks = (Block("codes", 0, 10, 35), Block("codes", 1, 4, 9), Block("gaps", 0, 14, 40))
    assert linear("fc", 4, 5, blocks=blocks).streams() == {"codes": (14, 44), "gaps": (14, 40)}


def test_compression_ratio_is_fp32_bytes_of_all_parameters_over_the_file() -> None:
    assert network(linear("fc", 10, 10), n_parameters=110, file_bytes=88).compression_ratio == 5  # 440 / 88


def test_an_output_lives_until_its_last_reader() -> None:
    # input -> 0 -> 1 -> 2 = 1 + input; nobody reads 2
    trace = network(
        linear("a", 4, 4),
        linear("b", 4, 4, producers=(0,)),
        elementwise("add", 8, 4, producers=(1, INPUT)),
    )
    assert dict(consumers(trace)) == {INPUT: 2, 0: 1, 1: 2, 2: 2}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no trace file .*none\.parquet"):
        Trace.load(tmp_path / "none.parquet")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError):
        Trace.load(tmp_path)


@pytest.mark.parametrize("kept_share", [0, 0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_a_truncated_file_is_refused(kept_share: float, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * kept_share)])
    with pytest.raises(TraceError):
        Trace.load(saved)


def test_an_altered_byte_is_refused_or_was_not_content(saved: Path) -> None:
    # Some bytes of a Parquet file carry nothing, such as statistics; those may change, the trace may not.
    content = saved.read_bytes()
    n_refused = 0
    for position in range(0, len(content), 7):
        altered = bytearray(content)
        altered[position] ^= 0xFF
        saved.write_bytes(altered)
        try:
            assert Trace.load(saved) == TRACE
        except TraceError:
            n_refused += 1
    assert n_refused > len(content) / 7 / 3


@pytest.mark.parametrize("old", [b'"batch": 1', b"conv1", b'"variant": "huffman"'])
def test_an_altered_figure_is_refused_as_altered(old: bytes, saved: Path) -> None:
    # every occurrence is replaced by one of the same length, so that the Parquet file itself stays readable
    new = {b'"batch": 1': b'"batch": 2', b"conv1": b"conv2", b'"variant": "huffman"': b'"variant": "hoffman"'}[old]
    table = pq.ParquetFile(saved).read()
    metadata = {key: value.replace(old, new) for key, value in table.schema.metadata.items()}
    rows = json.loads(json.dumps(table.to_pylist(), default=list).replace(old.decode(), new.decode()))
    for row in rows:
        row["weight_bitmap"] = None if row["weight_bitmap"] is None else bytes(row["weight_bitmap"])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema.with_metadata(metadata)), saved)
    with pytest.raises(TraceError, match="does not match its SHA-256: the file was altered"):
        Trace.load(saved)


def test_another_schema_version_is_refused(saved: Path) -> None:
    table = pq.ParquetFile(saved).read()
    about = json.loads(table.schema.metadata[b"dcsim"])
    pq.write_table(table.replace_schema_metadata({"dcsim": json.dumps(about | {"schema": 1})}), saved)
    with pytest.raises(TraceError, match="another schema; this dcsim reads version 2"):
        Trace.load(saved)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 0}, "batch must be 1 or more, found 0"),
        ({"test_error": -5.0}, "test_error must be from 0 to 1 or null, found -5.0"),
        ({"file_bytes": 10}, "file_bytes must be at least what layers and header store"),
    ],
)
def test_figures_that_no_network_has_are_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    replace(TRACE, **changes).save(tmp_path / "odd.parquet")
    with pytest.raises(TraceError, match=said):
        Trace.load(tmp_path / "odd.parquet")


@pytest.mark.parametrize("changes", [{"n_steps": 0}, {"n_weights_nonzero": 10**9}, {"n_macs_nonzero": -1}])
def test_counts_that_no_layer_has_are_refused(changes: dict[str, int], tmp_path: Path) -> None:
    layers = (replace(TRACE.layers[0], **changes), *TRACE.layers[1:])
    replace(TRACE, layers=layers).save(tmp_path / "odd.parquet")
    with pytest.raises(TraceError, match=f"layer {TRACE.layers[0].name}: "):
        Trace.load(tmp_path / "odd.parquet")


def test_missing_columns_are_refused(saved: Path) -> None:
    pq.write_table(pq.ParquetFile(saved).read().drop_columns(["n_weights"]), saved)
    with pytest.raises(TraceError, match="columns are missing"):
        Trace.load(saved)


def test_missing_metadata_is_refused(saved: Path) -> None:
    table = pq.ParquetFile(saved).read()
    about = json.loads(table.schema.metadata[b"dcsim"])
    del about["batch"]
    pq.write_table(table.replace_schema_metadata({"dcsim": json.dumps(about)}), saved)
    with pytest.raises(TraceError, match=r"toy\.parquet"):
        Trace.load(saved)


def test_another_parquet_file_is_refused_as_no_trace(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "other.parquet")
    with pytest.raises(TraceError, match="a Parquet file, but not a dcsim trace"):
        Trace.load(tmp_path / "other.parquet")


@pytest.mark.parametrize("about", ["[]", "7", "null", "{}", "not json"])
def test_metadata_that_is_no_description_is_refused(about: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({"dcsim": about}), tmp_path / "other.parquet")
    with pytest.raises(TraceError):
        Trace.load(tmp_path / "other.parquet")


def test_a_folder_that_cannot_be_written_is_an_output_error(saved: Path) -> None:
    with pytest.raises(OutputError):
        TRACE.save(saved / "inside" / "a-file.parquet")


def test_loading_needs_neither_torch_nor_pandas_nor_numba(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dcsim.traces.trace import Trace; "
        "print(Trace.load(Path(sys.argv[1])).network, {'torch', 'pandas', 'numba'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True)
    assert run.stdout == "toy set()\n"


def test_the_digest_covers_the_weight_bitmap(tmp_path: Path) -> None:
    # a single flipped weight leaves every count alone, so only the digest can notice it
    other = replace(TRACE, layers=(replace(MEASURED, weight_bitmap=bytes(4)), *TRACE.layers[1:]))
    digests = set()
    for trace in (TRACE, other):
        trace.save(tmp_path / "t.parquet")
        digests.add(json.loads(pq.ParquetFile(tmp_path / "t.parquet").schema_arrow.metadata[b"dcsim"])["sha256"])
    assert {len(digest) for digest in digests} == {len(hashlib.sha256().hexdigest())}
    assert len(digests) == 2
