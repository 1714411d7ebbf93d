"""How one layer runs in one frame, once it is known what lies in SRAM."""

from dataclasses import dataclass
from functools import lru_cache

from dcsim.soc import decoder, pe_array
from dcsim.soc.array_spec import SimdArray, SparseArray, SystolicArray
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import POSITIONS, Layer
from dcsim.units import FP32_BITS, bits_to_bytes, ceil_div, kib_to_bytes


@dataclass(frozen=True)
class LayerPlan:
    """How one layer runs in one frame: all integer counts of its dynamic ledger follow from this.

    Attributes:
        weights_resident: the stored weights stay in SRAM across frames.
        decodes: stored weights pass the decoder.
        n_decode_passes: how often they do: once a step, and once a fold of pixels where a SIMD array takes entries
            straight from there.
        expanded_bits: dense operands that the decoder writes into the working buffer; 0 where the array skips zeros.
        n_tiles: parts in which fetch, decode, compute and write-back overlap.
        n_input_passes: how often a spilled input is read from DRAM.
        n_input_bytes_spilled: bytes of its input that lie in DRAM.
        output_spilled: its output goes to DRAM.
        chunk_bytes: SRAM left free that holds weights while a spilled input passes by.
        state_read_bytes, state_write_bytes: what lies in DRAM from frame to frame.
        why_weights, why_output: why they lie where they lie; empty where there are none.
    """

    index: int
    layer: Layer
    weights_resident: bool
    decodes: bool
    n_decode_passes: int
    n_tiles: int
    n_input_passes: int
    n_input_bytes_spilled: int
    output_spilled: bool
    chunk_bytes: int
    work: pe_array.ArrayWork
    decode: decoder.DecodeWork
    expanded_bits: int
    output_bytes: int
    state_read_bytes: int
    state_write_bytes: int
    why_weights: str
    why_output: str

    @property
    def dram_read_bytes(self) -> int:
        """Bytes read from DRAM in a steady-state frame."""
        return (
            self.n_weight_passes * self.weight_dram_bytes
            + self.n_input_passes * self.n_input_bytes_spilled
            + self.state_read_bytes
        )

    @property
    def weight_dram_bytes(self) -> int:
        """Bytes of weights that one pass reads from DRAM."""
        return 0 if self.weights_resident else self.layer.read_bytes

    @property
    def n_weight_passes(self) -> int:
        """Passes over the weights in one frame: a step of a recurrent layer needs them all again."""
        return self.layer.n_steps

    @property
    def dram_write_bytes(self) -> int:
        """Bytes written to DRAM in a steady-state frame."""
        return (self.output_bytes if self.output_spilled else 0) + self.state_write_bytes


@dataclass(frozen=True)
class Places:
    """Where the data of one layer lies: what `plan_layer` needs to know of the placement.

    Attributes:
        weights_resident: its weights stay in SRAM.
        input_bytes_spilled: bytes of its inputs that lie in DRAM.
        output_bytes: of its output.
        output_spilled: the output goes to DRAM.
        free_bytes: SRAM that nothing holds while it runs.
        why_weights, why_output: see LayerPlan.
    """

    weights_resident: bool
    input_bytes_spilled: int
    output_bytes: int
    output_spilled: bool
    free_bytes: int
    why_weights: str
    why_output: str


def plan_layer(index: int, layer: Layer, soc: SocSpec, places: Places) -> LayerPlan:
    """Tiles, passes and work of one layer."""
    decodes_weights = decodes(layer, soc)
    skips = decodes_weights and not expands(layer, soc)
    n_operands = layer.n_outputs if layer.reads_table else layer.n_weights
    dense_bits = n_operands * soc.array.operand_bits
    operand_bytes = layer.read_bytes if skips else bits_to_bytes(dense_bits)
    tile_bytes = kib_to_bytes(soc.tiles.tile_kib)
    # it may read a slice of what was made
    spilled = min(places.input_bytes_spilled, bits_to_bytes(layer.n_inputs * soc.activation_bits))
    resident = places.weights_resident
    # Weights are held in chunks as large as the SRAM left free; a spilled input is read once per chunk.
    held_whole = resident and (skips or not decodes_weights)
    n_chunks = 1 if held_whole or not spilled else ceil_div(operand_bytes, max(places.free_bytes, tile_bytes))
    n_input_passes = max(1, n_chunks)
    state_read_bytes = bits_to_bytes(layer.n_state_inputs * soc.activation_bits)
    state_write_bytes = bits_to_bytes(layer.n_state_outputs * soc.activation_bits)
    fetched_bytes = layer.n_steps * layer.read_bytes * (not resident) + n_input_passes * spilled + state_read_bytes
    written_bytes = places.output_bytes * places.output_spilled
    takes_entries = skips and isinstance(soc.array, SimdArray)
    return LayerPlan(
        index=index,
        layer=layer,
        weights_resident=resident,
        decodes=decodes_weights,
        n_decode_passes=layer.n_steps * (_n_pixel_folds(layer, soc) if takes_entries else 1),
        n_tiles=max(1, ceil_div(max(operand_bytes, fetched_bytes, written_bytes), tile_bytes)),
        n_input_passes=n_input_passes,
        n_input_bytes_spilled=spilled,
        output_spilled=places.output_spilled,
        chunk_bytes=min(places.free_bytes, operand_bytes) if spilled and not held_whole else 0,
        work=_array_work(layer, soc, skips),
        decode=_decode_work(layer) if decodes_weights else decoder.DecodeWork((), 0, 0, 0),
        expanded_bits=layer.n_steps * dense_bits if decodes_weights and not skips else 0,
        output_bytes=places.output_bytes,
        state_read_bytes=state_read_bytes,
        state_write_bytes=state_write_bytes,
        why_weights=places.why_weights,
        why_output=places.why_output,
    )


def decodes(layer: Layer, soc: SocSpec) -> bool:
    """Whether stored weights pass the decoder: all but those that lie there in the array's own format."""
    return layer.encoding is not None and not (layer.encoding == "fp32" and soc.array.operand_bits == FP32_BITS)


def expands(layer: Layer, soc: SocSpec) -> bool:
    """Whether the decoder writes dense operands into a working buffer, because the array cannot take stored entries."""
    array = soc.array
    if isinstance(array, SparseArray):
        return layer.reads_table and decodes(layer, soc)
    takes_entries = isinstance(array, SimdArray) and array.skip_zeros == "weights" and layer.has_positions
    return decodes(layer, soc) and not takes_entries


def _n_pixel_folds(layer: Layer, soc: SocSpec) -> int:
    assert isinstance(soc.array, SimdArray)
    return ceil_div(layer.m, soc.array.lanes_pixel)


def _array_work(layer: Layer, soc: SocSpec, skips: bool) -> pe_array.ArrayWork:
    if not layer.has_gemm:
        n_read = layer.n_inputs + (layer.n_outputs if layer.reads_table else 0)
        return pe_array.elementwise_work(soc.array, layer.n_alu_ops, n_read, soc.activation_bits)
    after = pe_array.elementwise_work(soc.array, layer.n_alu_ops, 0, soc.activation_bits)
    if isinstance(soc.array, SparseArray):
        return _sparse_work(layer, soc.array).followed_by(after)
    return _step_work(layer, soc, skips).times(layer.n_steps).followed_by(after)


def _step_work(layer: Layer, soc: SocSpec, skips: bool) -> pe_array.ArrayWork:
    """One step on an array that multiplies what it is given."""
    array, activation_bits = soc.array, soc.activation_bits
    weight_bits = array.operand_bits if layer.n_weights else activation_bits
    if isinstance(array, SystolicArray):
        from dcsim.soc import systolic

        return systolic.systolic_work(array, layer.n_groups, layer.m, layer.n, layer.k, activation_bits, weight_bits)
    assert isinstance(array, SimdArray)
    if skips:
        return pe_array.sparse_gemm_work(
            array, layer.n_groups, layer.m, layer.k, layer.n_entries, layer.n_weights_nonzero, activation_bits
        )
    return pe_array.gemm_work(array, layer.n_groups, layer.m, layer.n, layer.k, activation_bits, weight_bits)


@lru_cache(maxsize=256)  # operating points and chips that differ elsewhere meet the same array again
def _sparse_work(layer: Layer, array: SparseArray) -> pe_array.ArrayWork:
    """All steps on PEs that skip zeros; nonzeros of an input are counted over all steps together."""
    from dcsim.soc import sparse_array  # compiled, and most chips have another array

    work = sparse_array.work(
        array,
        layer.n_groups,
        layer.m * layer.n_steps,
        layer.n,
        layer.k,
        layer.weight_bitmap,
        layer.column_nonzeros,
        layer.n_weights_nonzero if layer.n_weights else layer.n_groups * layer.n * layer.k,
    )
    return work.array_work()


def _decode_work(layer: Layer) -> decoder.DecodeWork:
    coded = layer.decoded_streams()
    n_entropy = sum(n for n, _ in coded.values()) if layer.encoding == "huffman" else 0
    return decoder.DecodeWork(
        streams=tuple(coded.values()),
        n_entropy_symbols=n_entropy,
        n_lookups=layer.streams().get("codes", (0, 0))[0],
        n_gaps=sum(coded.get(name, (0, 0))[0] for name in POSITIONS),
    )
