"""Trace and its file: the only thing the simulator ever sees of a network. Loads without torch.

The file is one Parquet table with a row per layer. The blocks of a layer's streams are a nested list, the real nonzeros
are a packed bitmap and a list; what belongs to the whole network is JSON in the schema's metadata under `dcsim`, with a
SHA-256 over everything.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from dcsim.artifact import Block, Encoding, Variant
from dcsim.errors import TraceError
from dcsim.files import written

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
INPUT = -1  # the producer index that stands for the network's input
OWN = -1  # the index in `weights_of` of a layer that reads its weights as the first one

POSITIONS = ("gaps", "indices")  # streams that say where a value is: zeros skipped before it, or its column or row
DECODED = ("values", "codes", *POSITIONS)

#: how the nonzeros of a layer are known: counted on real tensors, taken from densities or from shapes alone, or not at
#: all, because dcsim has no cost model for the operator and counts it as data movement
Counts = Literal["exact", "estimated", "unknown"]


@dataclass(frozen=True)
class Layer:
    """One executed operator for one frame, with the operators that are fused into it.

    Attributes:
        name: module path of its weights, or of the operator; distinct within a trace.
        kind: operator in dcsim's words, such as `conv2d`, `linear`, `attention_scores` or `max_pool2d`.
        operator: the same as the network's own graph calls it, such as `aten.conv2d.default`.
        module: path of the module that executed it; empty where there is none.
        counts: how its nonzeros are known.
        producers: indices of the layers whose outputs it reads; -1 is the network's input.
        input_shapes, output_shapes: of the activations; batch first. Outputs are taken after fused activations.
        element_bits: width of an activation where the network was traced [bits].
        n_steps: how often it runs one after the other with the same weights, each step waiting for the one before, as
            the recurrent half of an LSTM does; 1 for all others.
        n_groups, m, n, k: GEMM view of a step: M output pixels x N output channels x K filter volume, per group; or 0.
        n_macs_dense, n_macs_nonzero: all MACs; those with both operands nonzero (1 MAC = 2 operations).
        n_alu_ops: comparisons, additions and the like outside MACs, of all steps.
        n_inputs, n_inputs_nonzero, n_outputs, n_outputs_nonzero: activation elements. Attention passes its scores on
            tile by tile, so they are neither outputs nor inputs.
        n_state_inputs, n_state_outputs: elements read from and written to what the network keeps from frame to frame,
            such as a KV cache.
        weights: names of the stored tensors that it reads.
        weights_of: index of the earlier layer that reads these weights too (tied weights, a module run twice), or -1.
        n_weights, n_weights_nonzero: weight elements, without biases.
        encoding: how the weights are stored, or None.
        stored_bytes: bytes of the variant's file that this layer is the first to read: weights and biases.
        read_bytes: bytes that a step reads of its weights: of a table only the rows that are looked up, of tied weights
            all.
        blocks: every run of every stream of the bytes read.
        weight_bitmap: N x K nonzero flags of each group, packed eight to a byte, lowest bit first; None where unknown.
        column_nonzeros: nonzero activations in each of the K unfolded input columns (group after group, all steps
            together); None where unknown.
    """

    name: str
    kind: str
    operator: str
    module: str
    counts: Counts
    producers: tuple[int, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output_shapes: tuple[tuple[int, ...], ...]
    element_bits: int
    n_steps: int
    n_groups: int
    m: int
    n: int
    k: int
    n_macs_dense: int
    n_macs_nonzero: int
    n_alu_ops: int
    n_inputs: int
    n_inputs_nonzero: int
    n_outputs: int
    n_outputs_nonzero: int
    n_state_inputs: int
    n_state_outputs: int
    weights: tuple[str, ...]
    weights_of: int
    n_weights: int
    n_weights_nonzero: int
    encoding: Encoding | None
    stored_bytes: int
    read_bytes: int
    blocks: tuple[Block, ...]
    weight_bitmap: bytes | None
    column_nonzeros: tuple[int, ...] | None

    @property
    def has_gemm(self) -> bool:
        """Whether it multiplies and accumulates."""
        return self.n_macs_dense > 0

    @property
    def reads_table(self) -> bool:
        """Whether it looks rows up in its weights instead of multiplying by them."""
        return self.encoding is not None and not self.has_gemm

    def streams(self) -> dict[str, tuple[int, int]]:
        """(n_symbols, n_bits) of each stream, its blocks added up."""
        sums: dict[str, tuple[int, int]] = {}
        for block in self.blocks:
            n_symbols, n_bits = sums.get(block.stream, (0, 0))
            sums[block.stream] = (n_symbols + block.n_symbols, n_bits + block.n_bits)
        return sums

    def decoded_streams(self) -> dict[str, tuple[int, int]]:
        """Those a decoder reads symbol by symbol. A stream of one distinct symbol has no bits and nothing to read."""
        streams = self.streams()
        return {name: streams[name] for name in DECODED if streams.get(name, (0, 0))[1]}

    @property
    def has_positions(self) -> bool:
        """Whether values are stored with their positions."""
        return any(block.stream in POSITIONS for block in self.blocks)

    @property
    def n_entries(self) -> int:
        """Stored values that come with their position, fillers included; 0 where every value is stored."""
        streams = self.streams()
        return next((streams[name][0] for name in POSITIONS if name in streams), 0)


@dataclass(frozen=True)
class Trace:
    """One storage variant of one network in action.

    Attributes:
        network, variant: what was traced.
        batch: inferences that make one frame.
        synthetic: drawn from a table of densities rather than measured on real weights and inputs.
        n_network_inputs: elements of the network's input.
        n_parameters: weights and biases.
        file_bytes, header_bytes: the variant's `.dcz` file, and its part that no layer owns.
        file_sha256, input_sha256: what was traced, on what; empty when synthetic.
        test_error: wrong / all on the test set with weights decoded from that file; None when unknown.
        dcsim_version: who made it.
        layers: in execution order.
    """

    network: str
    variant: Variant
    batch: int
    synthetic: bool
    n_network_inputs: int
    n_parameters: int
    file_bytes: int
    header_bytes: int
    file_sha256: str
    input_sha256: str
    test_error: float | None
    dcsim_version: str
    layers: tuple[Layer, ...]

    @property
    def compression_ratio(self) -> float:
        """4 bytes times all parameters, over the size of the file."""
        return 4 * self.n_parameters / self.file_bytes

    def layers_frame(self) -> "pd.DataFrame":
        """One row per layer, as a pandas DataFrame."""
        import pandas as pd

        hidden = {"blocks", "weight_bitmap", "column_nonzeros"}
        return pd.DataFrame([{k: v for k, v in asdict(layer).items() if k not in hidden} for layer in self.layers])

    def blocks_frame(self) -> "pd.DataFrame":
        """One row per block of every stream, as a pandas DataFrame."""
        import pandas as pd

        rows = [{"layer": layer.name, **asdict(block)} for layer in self.layers for block in layer.blocks]
        return pd.DataFrame(rows, columns=["layer", "stream", "block", "n_symbols", "n_bits"])

    def _repr_html_(self) -> str:
        return f"<p>{self.network}, {self.variant}, batch {self.batch}</p>{self.layers_frame().to_html()}"

    def save(self, path: Path | str) -> None:
        """Write the trace as Parquet, whole or not at all. Raises OutputError."""
        rows = [_row(layer) for layer in self.layers]
        about = {"schema": SCHEMA_VERSION, **self._about(), "sha256": self.digest()}
        schema = _SCHEMA.with_metadata({"dcsim": json.dumps(about, sort_keys=True)})
        with written(Path(path)) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")

    @classmethod
    def load(cls, path: Path | str) -> "Trace":
        """Read a trace. Raises TraceError when it is missing, truncated, altered or of another schema."""
        try:
            table = pq.ParquetFile(path).read()  # pq.read_table would import pandas
            about = json.loads((table.schema.metadata or {})[b"dcsim"])
            if not isinstance(about, dict):
                raise ValueError("its metadata is not a mapping")
        except FileNotFoundError as error:
            raise TraceError(f"no trace file {path}") from error
        except KeyError as error:
            raise TraceError(f"{path}: a Parquet file, but not a dcsim trace") from error
        except (pa.ArrowException, OSError, ValueError) as error:
            raise TraceError(f"{path}: not a readable trace: {str(error).splitlines()[0]}") from error
        if about.pop("schema", None) != SCHEMA_VERSION:
            raise TraceError(f"{path}: a trace of another schema; this dcsim reads version {SCHEMA_VERSION}")
        digest = about.pop("sha256", None)
        try:
            trace = cls(**about, layers=tuple(_layer(row) for row in table.to_pylist()))
            intact = digest is None or trace.digest() == digest  # other people's tools need not write one
        except (TypeError, KeyError, ValueError) as error:
            raise TraceError(f"{path}: columns are missing or of another type: {error}") from error
        if not intact:
            raise TraceError(f"{path}: the content does not match its SHA-256: the file was altered")
        _require_sound(path, trace)
        for index, layer in enumerate(trace.layers):
            if not all(INPUT <= producer < index for producer in layer.producers):
                raise TraceError(f"{path}: layer {layer.name} reads what no layer before it has made")
            if layer.weights_of != OWN and not 0 <= layer.weights_of < index:
                raise TraceError(f"{path}: layer {layer.name} shares weights with no layer before it")
        return trace

    def _about(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "layers"}

    def digest(self) -> str:
        """SHA-256 over everything in it."""
        digest = hashlib.sha256(json.dumps(self._about(), sort_keys=True).encode())
        for layer in self.layers:
            digest.update(repr(replace(layer, weight_bitmap=None)).encode())
            digest.update(layer.weight_bitmap or b"")
        return digest.hexdigest()


_BLOCK = pa.struct([("stream", pa.string()), ("block", pa.int32()), ("n_symbols", pa.int64()), ("n_bits", pa.int64())])
_ARROW_TYPES: dict[str, Any] = {
    "name": pa.string(),
    "kind": pa.string(),
    "operator": pa.string(),
    "module": pa.string(),
    "counts": pa.string(),
    "producers": pa.list_(pa.int32()),
    "input_shapes": pa.list_(pa.list_(pa.int64())),
    "output_shapes": pa.list_(pa.list_(pa.int64())),
    "weights": pa.list_(pa.string()),
    "weights_of": pa.int32(),
    "encoding": pa.string(),
    "blocks": pa.list_(_BLOCK),
    "weight_bitmap": pa.binary(),
    "column_nonzeros": pa.list_(pa.int64()),
}
_SCHEMA = pa.schema([(field.name, _ARROW_TYPES.get(field.name, pa.int64())) for field in fields(Layer)])


def _row(layer: Layer) -> dict[str, Any]:
    return {**vars(layer), "blocks": [vars(block) for block in layer.blocks]}


def _layer(row: dict[str, Any]) -> Layer:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    values["blocks"] = tuple(Block(**block) for block in row["blocks"])
    for key in ("input_shapes", "output_shapes"):
        values[key] = tuple(map(tuple, row[key]))
    return Layer(**values)


def _require_sound(path: Path | str, trace: Trace) -> None:
    """Refuse figures that no network has, as another tool may have written them. Raises TraceError."""
    stored = trace.header_bytes + sum(layer.stored_bytes for layer in trace.layers)
    error = trace.test_error
    faults = {
        f"batch must be 1 or more, found {trace.batch}": trace.batch < 1,
        f"test_error must be from 0 to 1 or null, found {error}": error is not None and not 0 <= error <= 1,
        f"file_bytes must be at least what layers and header store, {stored}; found {trace.file_bytes}": (
            trace.file_bytes < stored
        ),
    }
    for layer in trace.layers:
        pairs = {
            "n_macs": (layer.n_macs_nonzero, layer.n_macs_dense),
            "n_weights": (layer.n_weights_nonzero, layer.n_weights),
        }
        for name, (nonzero, whole) in pairs.items():
            faults[f"layer {layer.name}: {name}: {nonzero} nonzero of {whole}"] = not 0 <= nonzero <= whole
        numbers = (
            layer.n_steps - 1,
            layer.n_alu_ops,
            layer.n_inputs,
            layer.n_outputs,
            layer.stored_bytes,
            layer.read_bytes,
        )
        faults[f"layer {layer.name}: a count is negative, or n_steps is 0"] = min(numbers) < 0
    for fault, found in faults.items():
        if found:
            raise TraceError(f"{path}: not a trace of a network: {fault}")


def consumers(trace: Trace) -> Iterator[tuple[int, int]]:
    """(producer, last consumer) index of the network's input and of every layer's output.

    The last layer's output, and any output nobody reads, lives until its own layer ends.
    """
    last = dict.fromkeys(range(INPUT, len(trace.layers)), INPUT)
    for index, layer in enumerate(trace.layers):
        for producer in layer.producers:
            last[producer] = max(last[producer], index)
    for producer, consumer in last.items():
        yield producer, max(producer, consumer)
