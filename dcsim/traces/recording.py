"""What a network does, operator by operator, as it is told by whoever runs it; then the layers of a trace.

Whoever runs the network (torch, ONNX) tells a `Recorder` of each operator: what it read, what it made, which GEMM it
is. The recorder knows where every tensor came from, and at the end what rides on what. Needs neither torch nor ONNX.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from dcsim import __version__
from dcsim.artifact import Block
from dcsim.errors import NetworkError
from dcsim.traces.gemms import Gemm
from dcsim.traces.stored import StoredNetwork
from dcsim.traces.trace import INPUT, OWN, Counts, Layer, Trace
from dcsim.units import bits_to_bytes, bytes_to_bits


@dataclass(frozen=True)
class Source:
    """Where a tensor comes from.

    Attributes:
        events: operators that made it, or INPUT; empty when no activation went into it.
        weights: stored tensors it is, or was computed from.
        kept: it outlives the frame, as a KV cache does.
    """

    events: tuple[int, ...] = ()
    weights: tuple[str, ...] = ()
    kept: bool = False

    @property
    def is_activation(self) -> bool:
        """Whether it depends on the input, or is kept from frame to frame."""
        return bool(self.events) or self.kept

    @classmethod
    def merged(cls, sources: "Iterable[Source]") -> "Source":
        """Of a tensor into which all of these went."""
        found = list(sources)
        events = tuple(dict.fromkeys(event for source in found for event in source.events))
        weights = tuple(dict.fromkeys(name for source in found for name in source.weights))
        return cls(events, weights, any(source.kept for source in found))


CONSTANT = Source()


@dataclass(frozen=True)
class Tensor:
    """One tensor that an operator reads or makes.

    Attributes:
        n_nonzero: None where its values are not known.
        bits: width of an element.
    """

    shape: tuple[int, ...]
    n_nonzero: int | None
    bits: int
    source: Source = CONSTANT

    @property
    def n_elements(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)

    @property
    def n_counted(self) -> int:
        """Nonzeros, or all elements where nobody knows."""
        return self.n_elements if self.n_nonzero is None else self.n_nonzero


@dataclass(eq=False)
class Event:
    """One executed operator.

    Attributes:
        reads, makes: tensors, weights and constants among those read.
        rides: whether inference hardware may apply it on the way out of the operator before.
        table: the stored tensor in which it looks up `n_looked_up` elements.
        n_kept: elements it writes to what outlives the frame.
        after: operators that must be done before, beside those that made what it reads.
        known: dcsim has a cost model for it.
        estimated: its nonzero MACs follow from densities.
    """

    kind: str
    operator: str
    module: str
    reads: tuple[Tensor, ...]
    makes: tuple[Tensor, ...]
    gemm: Gemm | None = None
    n_alu_ops: int = 0
    rides: bool = False
    table: str | None = None
    n_looked_up: int = 0
    n_kept: int = 0
    after: tuple[int, ...] = ()
    known: bool = True
    estimated: bool = False
    riders: list["Event"] = field(default_factory=list)

    @property
    def activations(self) -> list[Tensor]:
        """What it reads that is no weight."""
        return [tensor for tensor in self.reads if tensor.source.is_activation]

    @property
    def weights(self) -> list[str]:
        """Stored tensors that it and its riders read, each once."""
        own = [name for tensor in self.reads if not tensor.source.is_activation for name in tensor.source.weights]
        return list(dict.fromkeys([*own, *(name for rider in self.riders for name in rider.weights)]))

    @property
    def producers(self) -> tuple[int, ...]:
        """Events whose outputs it reads, each once."""
        made = (event for tensor in self.reads for event in tensor.source.events)
        return tuple(dict.fromkeys([*made, *self.after]))


class Recorder:
    """Keeps the source of every tensor, by whatever key whoever runs the network tells tensors apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._sources: dict[Hashable, Source] = {}
        self._results: set[int] = set()

    def source(self, key: Hashable) -> Source:
        """Where a tensor comes from; a constant if nobody has told."""
        return self._sources.get(key, CONSTANT)

    def set_source(self, key: Hashable, source: Source) -> None:
        """Note where a tensor comes from."""
        self._sources[key] = source

    def add(self, event: Event, *outputs: Hashable) -> int:
        """Note an operator that read at least one activation, and that it made `outputs`; its number."""
        self.events.append(event)
        number = len(self.events) - 1
        for key in outputs:
            self.set_source(key, Source((number,)))
        return number

    def result(self, key: Hashable) -> None:
        """A tensor that the network gives back: nothing may ride on what made it but what it was made by."""
        self._results.update(self.source(key).events)

    def kept_weights(self) -> set[str]:
        """Buffers that were written to: what the network keeps from frame to frame."""
        return {name for source in self._sources.values() if source.kept for name in source.weights}

    def layers(self, stored: StoredNetwork) -> tuple[Layer, ...]:
        """The layers of a trace, with the bytes of a file.

        Raises:
            NetworkError: the network computes nothing.
        """
        if not self.events:
            raise NetworkError(f"{stored.network}: the forward pass executes no operator")
        hosts = self._hosts()
        kept = self.kept_weights()
        hosted = [event for index, event in enumerate(self.events) if hosts[index] == index]
        place = {id(event): number for number, event in enumerate(hosted)}
        position = {index: place[id(self.events[host])] for index, host in hosts.items()} | {INPUT: INPUT}
        builder = _LayerBuilder(stored, position, kept)
        return tuple(builder.build(event) for event in hosted)

    def _hosts(self) -> dict[int, int]:
        """The event on which each rides: itself, or the one before whose result nobody else reads."""
        readers: dict[int, set[int]] = {}
        for index, event in enumerate(self.events):
            event.riders = []
            for producer in event.producers:
                readers.setdefault(producer, set()).add(index)
        hosts: dict[int, int] = {}
        for index, event in enumerate(self.events):
            hosts[index] = index
            if not event.rides or len(event.activations) != 1 or event.activations[0].source.kept:
                continue
            producers = event.producers
            if len(producers) != 1 or producers[0] == INPUT or producers[0] in self._results:
                continue
            before = self.events[producers[0]]
            same_size = sum(tensor.n_elements for tensor in before.makes) == event.makes[0].n_elements
            if readers[producers[0]] == {index} and same_size:
                hosts[index] = hosts[producers[0]]
                self.events[hosts[index]].riders.append(event)
        return hosts


class _LayerBuilder:
    """Events -> layers, in order: who reads a stored tensor first owns its bytes."""

    def __init__(self, stored: StoredNetwork, position: dict[int, int], kept: set[str]) -> None:
        self.stored, self.position, self.kept = stored, position, kept
        self.names: set[str] = set()
        self.owner: dict[str, int] = {}
        self.n_built = 0

    def build(self, event: Event) -> Layer:
        index = self.n_built
        self.n_built += 1
        names = [name for name in event.weights if name in self.stored.weights and name not in self.kept]
        multiplies = event.gemm is not None and event.gemm.weights is not None
        main = event.table if event.table in names else names[0] if multiplies and names else None
        if main:
            names = [main, *(name for name in names if name != main)]
        blocks = self._blocks(event, names, main)
        new = [name for name in names if name not in self.owner]
        shared = next((self.owner[name] for name in names if name in self.owner), OWN)
        for name in new:
            self.owner[name] = index if shared == OWN else shared
        last = event.riders[-1] if event.riders else event
        reads, gemm = event.activations, event.gemm
        if gemm and gemm.weights and gemm.weights.n_elements > sum(self.stored.weights[n].n_elements for n in names):
            gemm = None  # its weights are in no file, so nobody knows what reading them costs
        known = event.known and (gemm is not None or event.gemm is None)
        state = [tensor for tensor in event.reads if self._is_state(tensor)]
        weight = self.stored.weights[main] if main else None
        return Layer(
            name=self._name(event, names),
            kind=event.kind,
            operator=event.operator,
            module=event.module,
            counts=self._counts(event, last) if known else "unknown",
            producers=tuple(dict.fromkeys(self.position[producer] for producer in event.producers)),
            input_shapes=tuple(tensor.shape for tensor in reads),
            output_shapes=tuple(tensor.shape for tensor in last.makes),
            element_bits=max((tensor.bits for tensor in (*last.makes, *reads)), default=0),
            n_steps=gemm.n_steps if gemm else 1,
            n_groups=gemm.n_groups if gemm else 0,
            m=gemm.m if gemm else 0,
            n=gemm.n if gemm else 0,
            k=gemm.k if gemm else 0,
            n_macs_dense=gemm.n_macs_dense if gemm else 0,
            n_macs_nonzero=gemm.n_macs_nonzero if gemm else 0,
            n_alu_ops=event.n_alu_ops,
            n_inputs=sum(tensor.n_elements for tensor in reads),
            n_inputs_nonzero=sum(tensor.n_counted for tensor in reads),
            n_outputs=sum(tensor.n_elements for tensor in last.makes),
            n_outputs_nonzero=sum(tensor.n_counted for tensor in last.makes),
            n_state_inputs=sum(tensor.n_elements for tensor in state),
            n_state_outputs=event.n_kept,
            weights=tuple(names),
            weights_of=shared,
            n_weights=self._n_weights(gemm, main),
            n_weights_nonzero=gemm.weights.n_nonzero if gemm and gemm.weights else 0,
            encoding=weight.encoding if weight and known else None,
            stored_bytes=sum(self.stored.weights[name].n_bytes for name in new),
            read_bytes=sum(bits_to_bytes(block.n_bits) for block in blocks),
            blocks=blocks,
            weight_bitmap=gemm.weights.bitmap if gemm and gemm.weights else None,
            column_nonzeros=_listed(gemm),
        )

    def _is_state(self, tensor: Tensor) -> bool:
        return tensor.source.kept or bool(self.kept.intersection(tensor.source.weights))

    def _n_weights(self, gemm: Gemm | None, main: str | None) -> int:
        if gemm and gemm.weights:
            return gemm.weights.n_elements
        return self.stored.weights[main].n_elements if main else 0

    def _blocks(self, event: Event, names: Sequence[str], main: str | None) -> tuple[Block, ...]:
        blocks: list[Block] = []
        for name in names:
            weight = self.stored.weights[name]
            if name == main:
                blocks += weight.read(event.n_looked_up or self._n_read(event, name))
            else:
                read_bytes = sum(bits_to_bytes(block.n_bits) for block in weight.read(self._n_read(event, name)))
                blocks.append(Block(name, 0, weight.n_elements, bytes_to_bits(read_bytes)))
        return tuple(blocks)

    def _n_read(self, event: Event, name: str) -> int:
        """Elements of a stored tensor that the event and its riders read."""
        return max(
            (
                tensor.n_elements
                for each in (event, *event.riders)
                for tensor in each.reads
                if name in tensor.source.weights
            ),
            default=0,
        )

    def _counts(self, event: Event, last: Event) -> Counts:
        guessed = any(tensor.n_nonzero is None for tensor in (*event.activations, *last.makes))
        return "estimated" if guessed or event.estimated else "exact"

    def _name(self, event: Event, weights: Sequence[str]) -> str:
        """The module of its weights, else its own, else its kind; further ones of that name are told apart."""
        path = (weights[0].rpartition(".")[0] if weights else "") or event.module
        name = path or event.kind
        if name in self.names and path:
            name = f"{path}.{event.kind}"
        base, number = name, 1
        while name in self.names:
            number += 1
            name = f"{base}#{number}"
        self.names.add(name)
        return name


def _listed(gemm: Gemm | None) -> tuple[int, ...] | None:
    if gemm is None or gemm.column_nonzeros is None:
        return None
    return tuple(gemm.column_nonzeros.flatten().tolist())


def trace_of(
    recorder: Recorder, stored: StoredNetwork, *, batch: int, n_inputs: int, input_sha256: str, test_error: float | None
) -> Trace:
    """The trace of what was recorded. Raises NetworkError when nothing was."""
    layers = recorder.layers(stored)
    return Trace(
        network=stored.network,
        variant=stored.variant,
        batch=batch,
        synthetic=stored.synthetic,
        n_network_inputs=n_inputs,
        n_parameters=stored.n_parameters,
        file_bytes=stored.file_bytes,
        header_bytes=stored.file_bytes - sum(layer.stored_bytes for layer in layers),
        file_sha256=stored.sha256,
        input_sha256=input_sha256,
        test_error=test_error,
        dcsim_version=__version__,
        layers=layers,
    )
