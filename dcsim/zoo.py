"""Networks by name (folders of models/) or by `module:callable`. torch is imported only when a network is built."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from dcsim.artifact import Weights
from dcsim.checkpoint import open_checkpoint
from dcsim.config import SourcedSpec, did_you_mean, load_spec, shipped
from dcsim.decoder import DecoderSpec, VirtualWeights
from dcsim.errors import ConfigError, NetworkError
from dcsim.files import is_file
from dcsim.tables import Count, TableLayer, place

if TYPE_CHECKING:
    import torch


class NetworkSpec(SourcedSpec):
    """`models/<name>/network.yaml`: a trained network, a table of layers, or the dimensions of a decoder.

    Attributes:
        kind: `trained` has weights and data, `synthetic` is a table of layers, `decoder` a language model by its
            dimensions.
        builder: `module:callable` that returns the torch module.
        dataset: `mnist` or a `module:callable` that returns a Dataset.
        input_shape: of a table's network, [channels, height, width] or [features]; may be left out where the first
            layer is linear.
        seed: from which a table's weights are drawn; 0 unless said.
        layers: of a table, see `dcsim.tables`.
        decoder: dimensions of a language model.
        weights: how those of a language model are stored.
        published_test_error: that of the dense network in its paper.
        published_ratio: compression ratio in its paper.
    """

    kind: Literal["trained", "synthetic", "decoder"]
    builder: str = ""
    dataset: str = ""
    input_shape: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    layers: tuple[TableLayer, ...] = ()
    decoder: DecoderSpec | None = None
    weights: VirtualWeights | None = None
    published_test_error: Annotated[float, Field(ge=0, le=1)] | None = None
    published_ratio: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "trained" and not (self.builder and self.dataset):
            raise ValueError("a trained network needs a builder and a dataset")
        if self.kind == "synthetic" and not self.layers:
            raise ValueError("a synthetic network needs at least one of layers")
        if self.kind == "decoder" and not (self.decoder and self.weights):
            raise ValueError("a decoder needs its dimensions, decoder, and how its weights are stored, weights")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.kind == "synthetic":
            place(self.layers, self.input_shape)
        return self


@dataclass(frozen=True)
class Network:
    """A network that can be found again: its name and, unless it is the user's own, its folder under models/."""

    name: str
    builder: str
    dataset: str
    folder: Path | None = None
    spec: NetworkSpec | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it is given by numbers only, without weights."""
        return self.spec is not None and self.spec.kind != "trained"

    def with_step(self, context: int | None, tokens: int | None) -> "Network":
        """A decoder that has `context` tokens behind it and reads `tokens` now; None leaves what its file says.

        Raises:
            ConfigError: the network is no decoder, or such a step is not possible.
        """
        if context is None and tokens is None:
            return self
        if self.spec is None or self.spec.decoder is None:
            raise ConfigError(f"{self.name} is no decoder given by its dimensions: a context has no place in its run")
        step = {"n_context": context, "n_tokens": tokens}
        given = {key: value for key, value in step.items() if value is not None}
        try:
            decoder = DecoderSpec.model_validate({**self.spec.decoder.model_dump(), **given})
        except ValueError as error:
            raise ConfigError(f"a step of {tokens} tokens after {context} is not possible") from error
        return replace(self, spec=self.spec.model_copy(update={"decoder": decoder}))

    def build(self) -> "torch.nn.Module":
        """A fresh instance with the weights its builder gives it. Raises NetworkError."""
        built = call(self.builder)
        import torch

        if not isinstance(built, torch.nn.Module):
            raise NetworkError(f"{self.builder} returned {type(built).__name__}, expected a torch.nn.Module")
        return settled(built)


def find_network(name: str, dataset: str = "") -> Network:
    """A network of models/ by name, or the user's own as `module:callable` or as a YAML table of layers.

    Args:
        name: such as `lenet-5`, `mypackage.nets:build` or `tables/mine.yaml`.
        dataset: for a network of one's own, `mnist` or a `module:callable` that returns a Dataset.

    Raises:
        ConfigError: no such network, and the message lists what there is; or a table that cannot be used.
    """
    if not isinstance(name, str):
        raise ConfigError(f"expected the name of a network or module:callable, found {type(name).__name__}")
    if name.endswith((".yaml", ".yml")):
        return _table(Path(name), dataset)
    if ":" in name:
        return Network(name=name, builder=name, dataset=dataset)
    folder = shipped("models") / name
    if not is_file(folder / "network.yaml"):
        hint = did_you_mean(name, known_networks())
        raise ConfigError(
            f"no network named {name!r}, and your own is given as module:callable or as a table, FILE.yaml{hint}"
        )
    spec = load_spec(NetworkSpec, folder / "network.yaml")
    return Network(spec.name, spec.builder, dataset or spec.dataset, folder, spec)


def _table(path: Path, dataset: str) -> Network:
    spec = load_spec(NetworkSpec, path)
    if spec.kind == "trained":
        raise ConfigError(
            f"{path}: a network given by a file is a table of layers, kind: synthetic, or a decoder; found {spec.kind}"
        )
    return Network(spec.name, spec.builder, dataset, None, spec)


def dense_weights(network: Network, path: Path | None = None) -> Weights | None:
    """The dense weights of a safetensors file, by default the network's own; None when its builder provides them.

    Raises:
        NetworkError: the file is missing or cannot be read.
    """
    if path is None:
        path = network.folder / "dense.safetensors" if network.folder else None
    if path is None:
        return None
    return {entry.name: entry.read() for entry in open_checkpoint(path) if entry.is_float}


def known_networks() -> list[str]:
    """Names of the networks under models/."""
    return sorted(path.parent.name for path in shipped("models").glob("*/network.yaml"))


def require_torch(purpose: str) -> None:
    """Say what to install when torch is missing. Raises NetworkError."""
    require_package("torch", purpose, "torch")


def require_package(package: str, purpose: str, extra: str) -> None:
    """Say which extra to install when a package is missing. Raises NetworkError."""
    if importlib.util.find_spec(package) is None:
        raise NetworkError(f"{purpose} needs {package}, which is not installed: pip install 'dcsim[{extra}]'")


def call(reference: str) -> Any:
    """What the callable at `module:callable` returns, called without arguments.

    Raises:
        NetworkError: the module or the attribute is missing, or the call fails; the message names the cause.
    """
    function = resolve(reference)
    try:
        return function()
    except Exception as error:  # whatever the user's own code raises
        raise NetworkError(f"{reference} failed: {type(error).__name__}: {error}") from error


def resolve(reference: str) -> Callable[[], Any]:
    """The callable at `module:callable`; modules in the working folder are found. Raises NetworkError."""
    module_name, _, attribute = reference.partition(":")
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        hint = "; install dcsim[torch]" if error.name == "torch" else ""
        raise NetworkError(f"cannot load {reference}: no module named {error.name}{hint}") from error
    except Exception as error:  # whatever the user's own module raises
        raise NetworkError(f"cannot load {reference}: {type(error).__name__}: {error}") from error
    function: Callable[[], Any] | None = getattr(module, attribute, None)
    if function is None:
        raise NetworkError(f"cannot load {reference}: {module_name} has no {attribute!r}")
    if not callable(function):
        raise NetworkError(f"{reference} is not callable; expected a function or class without arguments")
    return function


def settled(model: "torch.nn.Module") -> "torch.nn.Module":
    """The same module with its re-parametrisations (masks of torch's pruning, weight norm) made permanent.

    A trained network is stored and run with the weights that they give.
    """
    import torch
    from torch.nn.utils import parametrize, prune
    from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
    from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

    for module in list(model.modules()):
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
        if parametrize.is_parametrized(module):
            assert isinstance(module.parametrizations, torch.nn.ModuleDict)
            for name in list(module.parametrizations):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return model


def lenet_300_100() -> "torch.nn.Module":
    """LeNet-300-100 (LeCun et al., Proc. IEEE 86(11), 1998): two hidden layers, 266,610 parameters."""
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, 10),
        )
    )


def lenet_5() -> "torch.nn.Module":
    """Caffe's LeNet-5, the one of the Deep Compression papers: 431,080 parameters; the only ReLU follows fc1."""
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(800, 500),
            relu1=nn.ReLU(),
            fc2=nn.Linear(500, 10),
        )
    )


def resnet_20() -> "torch.nn.Module":
    """ResNet-20 (He et al., CVPR 2016, section 4.2) with shortcuts free of parameters: 269,434 parameters.

    For MNIST: one input channel, and the first convolution has stride 2, which leaves digits of 28 x 28 detail enough.
    """
    from collections import OrderedDict

    from torch import nn

    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    n_inputs = 16
    for stage, n_outputs in enumerate((16, 32, 64), 1):
        for block in range(3):
            blocks[f"block{stage}_{block + 1}"] = _residual_block(n_inputs, n_outputs)
            n_inputs = n_outputs
    stem = {"conv1": nn.Conv2d(1, 16, 3, 2, 1, bias=False), "bn1": nn.BatchNorm2d(16), "relu1": nn.ReLU()}
    head = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(64, 10)}
    return nn.Sequential(OrderedDict(**stem, **blocks, **head))


def _residual_block(n_inputs: int, n_outputs: int) -> "torch.nn.Module":
    """Two convolutions beside a shortcut; where channels grow, of every second pixel, with zeros for the new ones."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stride = 1 if n_inputs == n_outputs else 2
            self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(n_outputs)
            self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(n_outputs)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images)))))
            if n_inputs != n_outputs:
                images = functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, 0, n_outputs - n_inputs))
            return functional.relu(found + images)

    return Block()
