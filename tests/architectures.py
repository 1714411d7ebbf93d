"""Published architectures, each as a module of torch.nn and as arithmetic by hand, to hold a tracer against.

The modules and the arithmetic share nothing but the tables of the papers. Maps are square and the batch is one
throughout. Products with padding count. Dropout is left out, and so is the softmax at the end.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from dcsim.zoo import lenet_5

Inputs = Callable[[], tuple[Tensor, ...]]
Published = tuple[float, float, str]


@dataclass(frozen=True)
class Architecture:
    """A network, and what is known of it without running it.

    Attributes:
        build: an instance with random weights; works on the meta device too.
        inputs: what forward takes, for a batch of one.
        n_parameters: learned numbers; a tensor that is used twice counts once.
        macs: multiply-accumulates of each matrix multiplication, in the order of execution.
        published_total: their sum as someone else printed it, the relative tolerance, and where it is printed.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Inputs
    n_parameters: int
    macs: tuple[int, ...]
    published_total: Published | None


class Cost(NamedTuple):
    """What an operator multiplies, one number for each matrix multiplication, and what it has learned."""

    macs: tuple[int, ...]
    n_parameters: int


BIAS = 1
BATCH_NORM = 2  # scale and shift; the convolutions before have no bias


def conv(side: int, n_inputs: int, n_outputs: int, kernel: int, groups: int = 1, per_channel: int = BIAS) -> Cost:
    """A convolution whose output is `side` x `side`, with the `per_channel` numbers that follow for every output."""
    n_weights = n_outputs * (n_inputs // groups) * kernel**2
    return Cost((side**2 * n_weights,), n_weights + per_channel * n_outputs)


def up_conv(side: int, n_inputs: int, n_outputs: int, kernel: int) -> Cost:
    """A transposed convolution whose input is `side` x `side`."""
    n_weights = n_inputs * n_outputs * kernel**2
    return Cost((side**2 * n_weights,), n_weights + n_outputs)


def linear(n_rows: int, n_inputs: int, n_outputs: int) -> Cost:
    return Cost((n_rows * n_inputs * n_outputs,), (n_inputs + 1) * n_outputs)


def attention(n_heads: int, length: int, depth: int) -> Cost:
    """Queries times keys, then their softmax times values."""
    return Cost((n_heads * length * length * depth, n_heads * length * depth * length), 0)


def lstm(length: int, n_inputs: int, n_hidden: int) -> Cost:
    """One layer in one direction: four gates of inputs, then of states, and for torch a bias of each."""
    n_gates = 4 * n_hidden
    return Cost(
        (length * n_gates * n_inputs, length * n_gates * n_hidden),
        n_gates * n_inputs + n_gates * n_hidden + 2 * n_gates,
    )


def learned(n_parameters: int) -> Cost:
    """Embeddings and normalisation, which multiply no matrices."""
    return Cost((), n_parameters)


def architecture(
    name: str, build: Callable[[], nn.Module], inputs: Inputs, costs: Iterable[Cost], published: Published | None = None
) -> Architecture:
    known = tuple(costs)
    n_parameters = sum(cost.n_parameters for cost in known)
    return Architecture(name, build, inputs, n_parameters, tuple(n for cost in known for n in cost.macs), published)


def image(n_channels: int, side: int) -> Inputs:
    return lambda: (torch.linspace(-1, 1, n_channels * side**2).reshape(1, n_channels, side, side),)


def tokens(length: int) -> Inputs:
    return lambda: (torch.arange(length).reshape(1, length),)


class Residual(nn.Module):
    """`after(body(x) + shortcut(x))`."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.after = after

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = self.after(self.body(maps) + self.shortcut(maps))
        return found


def normalised(
    n_inputs: int, n_outputs: int, kernel: int, stride: int = 1, groups: int = 1, tensorflow: bool = False
) -> OrderedDict[str, nn.Module]:
    """A convolution that keeps the size or halves it, and batch normalisation.

    TensorFlow's 'same' pads an even map before stride 2 by one pixel less at the top and left than at the other sides.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    padding = kernel // 2
    if tensorflow and stride == 2:
        padding = 0
        less, more = (kernel - 2) // 2, (kernel - 1) // 2
        layers["pad"] = nn.ZeroPad2d((less, more, less, more))
    layers["conv"] = nn.Conv2d(n_inputs, n_outputs, kernel, stride, padding, groups=groups, bias=False)
    layers["norm"] = nn.BatchNorm2d(n_outputs)
    return layers


def pooled_head(n_inputs: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(n_inputs, 1000))


# LeNet-5 of Caffe's examples/mnist/lenet.prototxt, which pads nothing.

LENET_5_COSTS = (conv(24, 1, 20, 5), conv(8, 20, 50, 5), linear(1, 50 * 4 * 4, 500), linear(1, 500, 10))


# AlexNet (Krizhevsky et al., NIPS 2012, section 3.5 and figure 2) as in Caffe's models/bvlc_alexnet.


def alexnet() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, 4),
            relu1=nn.ReLU(),
            norm1=nn.LocalResponseNorm(5),
            pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(),
            norm2=nn.LocalResponseNorm(5),
            pool2=nn.MaxPool2d(3, 2),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, 2),
            flatten=nn.Flatten(),
            fc6=nn.Linear(9216, 4096),
            relu6=nn.ReLU(),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            fc8=nn.Linear(4096, 1000),
        )
    )


ALEXNET_COSTS = (
    conv(55, 3, 96, 11),
    conv(27, 96, 256, 5, groups=2),
    conv(13, 256, 384, 3),
    conv(13, 384, 384, 3, groups=2),
    conv(13, 384, 256, 3, groups=2),
    linear(1, 256 * 6 * 6, 4096),
    linear(1, 4096, 4096),
    linear(1, 4096, 1000),
)


# VGG-16 (Simonyan and Zisserman, ICLR 2015, table 1, column D): map size, channels, convolutions.

VGG_16 = ((224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3))


def vgg_16() -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_inputs = 3
    for stage, (_, n_outputs, n_layers) in enumerate(VGG_16, 1):
        for layer in range(1, n_layers + 1):
            layers[f"conv{stage}_{layer}"] = nn.Conv2d(n_inputs, n_outputs, 3, padding=1)
            layers[f"relu{stage}_{layer}"] = nn.ReLU()
            n_inputs = n_outputs
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
    layers |= {"flatten": nn.Flatten(), "fc6": nn.Linear(25088, 4096), "relu6": nn.ReLU()}
    layers |= {"fc7": nn.Linear(4096, 4096), "relu7": nn.ReLU(), "fc8": nn.Linear(4096, 1000)}
    return nn.Sequential(layers)


def vgg_16_costs() -> Iterator[Cost]:
    n_inputs = 3
    for side, n_outputs, n_layers in VGG_16:
        for _ in range(n_layers):
            yield conv(side, n_inputs, n_outputs, 3)
            n_inputs = n_outputs
    yield linear(1, 512 * 7 * 7, 4096)
    yield linear(1, 4096, 4096)
    yield linear(1, 4096, 1000)


# ResNets (He et al., CVPR 2016, table 1): map size, channels of the 3 x 3 convolutions, blocks. Shortcuts are projected
# where channels change, and a bottleneck halves the map in its first convolution, both as in the authors' Caffe models;
# torchvision's ResNet-50 halves it in the second.

RESNET_18 = ((56, 64, 2), (28, 128, 2), (14, 256, 2), (7, 512, 2))
RESNET_50 = ((56, 64, 3), (28, 128, 4), (14, 256, 6), (7, 512, 3))


def basic_block(n_inputs: int, width: int, stride: int) -> nn.Module:
    first = nn.Sequential(normalised(n_inputs, width, 3, stride))
    second = nn.Sequential(normalised(width, width, 3))
    return nn.Sequential(OrderedDict(first=first, relu=nn.ReLU(), second=second))


def bottleneck(n_inputs: int, width: int, stride: int) -> nn.Module:
    reduce = nn.Sequential(normalised(n_inputs, width, 1, stride))
    middle = nn.Sequential(normalised(width, width, 3))
    expand = nn.Sequential(normalised(width, 4 * width, 1))
    return nn.Sequential(OrderedDict(reduce=reduce, relu1=nn.ReLU(), middle=middle, relu2=nn.ReLU(), expand=expand))


def resnet(
    table: tuple[tuple[int, int, int], ...], body: Callable[[int, int, int], nn.Module], expansion: int
) -> nn.Module:
    layers = normalised(3, 64, 7, 2) | {"relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, 2, 1)}
    n_inputs = 64
    for stage, (_, width, n_blocks) in enumerate(table, 2):
        n_outputs = expansion * width
        for block in range(1, n_blocks + 1):
            stride = 2 if block == 1 and stage > 2 else 1
            shortcut = (
                nn.Identity() if n_inputs == n_outputs else nn.Sequential(normalised(n_inputs, n_outputs, 1, stride))
            )
            layers[f"block{stage}_{block}"] = Residual(body(n_inputs, width, stride), shortcut, nn.ReLU())
            n_inputs = n_outputs
    return nn.Sequential(layers | pooled_head(n_inputs))


def resnet_18_costs() -> Iterator[Cost]:
    yield conv(112, 3, 64, 7, per_channel=BATCH_NORM)
    n_inputs = 64
    for side, width, n_blocks in RESNET_18:
        for _ in range(n_blocks):
            yield conv(side, n_inputs, width, 3, per_channel=BATCH_NORM)
            yield conv(side, width, width, 3, per_channel=BATCH_NORM)
            if n_inputs != width:
                yield conv(side, n_inputs, width, 1, per_channel=BATCH_NORM)
            n_inputs = width
    yield linear(1, 512, 1000)


def resnet_50_costs() -> Iterator[Cost]:
    yield conv(112, 3, 64, 7, per_channel=BATCH_NORM)
    n_inputs = 64
    for side, width, n_blocks in RESNET_50:
        for _ in range(n_blocks):
            yield conv(side, n_inputs, width, 1, per_channel=BATCH_NORM)
            yield conv(side, width, width, 3, per_channel=BATCH_NORM)
            yield conv(side, width, 4 * width, 1, per_channel=BATCH_NORM)
            if n_inputs != 4 * width:
                yield conv(side, n_inputs, 4 * width, 1, per_channel=BATCH_NORM)
            n_inputs = 4 * width
    yield linear(1, 2048, 1000)


# Inverted residuals: size of the map that enters, expansion, kernel, channels, blocks, stride of the first.
# MobileNet-v2 (Sandler et al., CVPR 2018, table 2) and EfficientNet-B0 (Tan and Le, ICML 2019, table 1), which without
# squeeze-and-excite and with ReLU6 for swish is EfficientNet-lite0 (github.com/tensorflow/tpu, efficientnet/lite).

MOBILENET_V2 = (
    (112, 1, 3, 16, 1, 1),
    (112, 6, 3, 24, 2, 2),
    (56, 6, 3, 32, 3, 2),
    (28, 6, 3, 64, 4, 2),
    (14, 6, 3, 96, 3, 1),
    (14, 6, 3, 160, 3, 2),
    (7, 6, 3, 320, 1, 1),
)
EFFICIENTNET_LITE0 = (
    (112, 1, 3, 16, 1, 1),
    (112, 6, 3, 24, 2, 2),
    (56, 6, 5, 40, 2, 2),
    (28, 6, 3, 80, 3, 2),
    (14, 6, 5, 112, 3, 1),
    (14, 6, 5, 192, 4, 2),
    (7, 6, 3, 320, 1, 1),
)


def inverted_residuals(table: tuple[tuple[int, int, int, int, int, int], ...], tensorflow: bool) -> nn.Module:
    def relu6(n_inputs: int, n_outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
        return nn.Sequential(
            normalised(n_inputs, n_outputs, kernel, stride, groups, tensorflow) | {"relu6": nn.ReLU6()}
        )

    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=relu6(3, 32, 3, 2))
    n_inputs = 32
    for stage, (_, expansion, kernel, n_outputs, n_blocks, first_stride) in enumerate(table, 1):
        for block in range(1, n_blocks + 1):
            n_expanded = expansion * n_inputs
            stride = first_stride if block == 1 else 1
            body = nn.Sequential()
            if expansion > 1:
                body.add_module("expand", relu6(n_inputs, n_expanded, 1))
            body.add_module("depthwise", relu6(n_expanded, n_expanded, kernel, stride, n_expanded))
            body.add_module("project", nn.Sequential(normalised(n_expanded, n_outputs, 1)))
            keeps_shape = stride == 1 and n_inputs == n_outputs
            layers[f"block{stage}_{block}"] = Residual(body, nn.Identity(), nn.Identity()) if keeps_shape else body
            n_inputs = n_outputs
    return nn.Sequential(layers | {"last": relu6(320, 1280, 1)} | pooled_head(1280))


def inverted_residuals_costs(table: tuple[tuple[int, int, int, int, int, int], ...]) -> Iterator[Cost]:
    yield conv(112, 3, 32, 3, per_channel=BATCH_NORM)
    n_inputs = 32
    for side_in, expansion, kernel, n_outputs, n_blocks, first_stride in table:
        side_out = side_in // first_stride
        for block in range(n_blocks):
            n_expanded = expansion * n_inputs
            if expansion > 1:
                yield conv(side_out if block else side_in, n_inputs, n_expanded, 1, per_channel=BATCH_NORM)
            yield conv(side_out, n_expanded, n_expanded, kernel, groups=n_expanded, per_channel=BATCH_NORM)
            yield conv(side_out, n_expanded, n_outputs, 1, per_channel=BATCH_NORM)
            n_inputs = n_outputs
    yield conv(7, 320, 1280, 1, per_channel=BATCH_NORM)
    yield linear(1, 1280, 1000)


# SqueezeNet 1.0 (Iandola et al., arXiv:1602.07360, table 1): map size, squeezed channels, channels of each expansion,
# for fire2 to fire9. As in the authors' SqueezeNet_v1.0/deploy.prototxt the input is 227 x 227, and conv10 pads its
# 1 x 1 kernel for 15 x 15 outputs where the table has 13 x 13.

SQUEEZENET = (
    (55, 16, 64),
    (55, 16, 64),
    (55, 32, 128),
    (27, 32, 128),
    (27, 48, 192),
    (27, 48, 192),
    (27, 64, 256),
    (13, 64, 256),
)


class Fire(nn.Module):
    def __init__(self, n_inputs: int, n_squeezed: int, n_expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(n_inputs, n_squeezed, 1)
        self.expand1 = nn.Conv2d(n_squeezed, n_expanded, 1)
        self.expand3 = nn.Conv2d(n_squeezed, n_expanded, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        squeezed = functional.relu(self.squeeze(maps))
        return functional.relu(torch.cat((self.expand1(squeezed), self.expand3(squeezed)), 1))


def squeezenet() -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(3, 96, 7, 2), relu1=nn.ReLU())
    layers["pool1"] = nn.MaxPool2d(3, 2)
    n_inputs = 96
    for number, (_, n_squeezed, n_expanded) in enumerate(SQUEEZENET, 2):
        layers[f"fire{number}"] = Fire(n_inputs, n_squeezed, n_expanded)
        if number in (4, 8):
            layers[f"pool{number}"] = nn.MaxPool2d(3, 2)
        n_inputs = 2 * n_expanded
    layers |= {"conv10": nn.Conv2d(512, 1000, 1, padding=1), "relu10": nn.ReLU()}
    return nn.Sequential(layers | {"pool10": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()})


def squeezenet_costs() -> Iterator[Cost]:
    yield conv(111, 3, 96, 7)
    n_inputs = 96
    for side, n_squeezed, n_expanded in SQUEEZENET:
        yield conv(side, n_inputs, n_squeezed, 1)
        yield conv(side, n_squeezed, n_expanded, 1)
        yield conv(side, n_squeezed, n_expanded, 3)
        n_inputs = 2 * n_expanded
    yield conv(15, 512, 1000, 1)


# Three transformers of one size: 12 layers, 12 heads, width 768, 3072 hidden. ViT-B/16 (Dosovitskiy et al., ICLR 2021,
# table 1 and equations 1 to 8), BERT-base (Devlin et al., NAACL 2019, section 3; uncased, with the pooler of its code)
# and GPT-2 small (Radford et al., 2019, table 2 and section 2.3). Queries, keys and values are one multiplication.


class Transformer(nn.Module):
    """A layer that normalises first."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.norm1 = nn.LayerNorm(768)
        self.qkv = nn.Linear(768, 3 * 768)
        self.mix = nn.Linear(768, 768)
        self.norm2 = nn.LayerNorm(768)
        self.fc1 = nn.Linear(768, 3072)
        self.fc2 = nn.Linear(3072, 768)

    def forward(self, states: Tensor) -> Tensor:
        queries, keys, values = self.qkv(self.norm1(states)).unflatten(-1, (3, 12, 64)).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(queries, keys, values, is_causal=self.causal)
        states = states + self.mix(heads.transpose(1, 2).flatten(2))
        found: Tensor = states + self.fc2(functional.gelu(self.fc1(self.norm2(states))))
        return found


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 768, 16, 16)
        self.label = nn.Parameter(torch.randn(1, 1, 768))
        self.positions = nn.Parameter(torch.randn(1, 197, 768))
        self.layers = nn.Sequential(*(Transformer(causal=False) for _ in range(12)))
        self.norm = nn.LayerNorm(768)
        self.head = nn.Linear(768, 1000)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)
        states = self.layers(torch.cat((self.label, patches), 1) + self.positions)
        found: Tensor = self.head(self.norm(states[:, 0]))
        return found


class Bert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, 768)
        self.positions = nn.Embedding(512, 768)
        self.segments = nn.Embedding(2, 768)
        self.norm = nn.LayerNorm(768)
        layer = nn.TransformerEncoderLayer(768, 12, 3072, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.pooler = nn.Linear(768, 768)

    def forward(self, words: Tensor, segments: Tensor) -> Tensor:
        places = torch.arange(words.shape[1], device=words.device)
        states = self.encoder(self.norm(self.words(words) + self.positions(places) + self.segments(segments)))
        return torch.tanh(self.pooler(states[:, 0]))


class Gpt2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50257, 768)
        self.positions = nn.Embedding(1024, 768)
        self.layers = nn.Sequential(*(Transformer(causal=True) for _ in range(12)))
        self.norm = nn.LayerNorm(768)
        self.head = nn.Linear(768, 50257, bias=False)
        self.head.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        places = torch.arange(words.shape[1], device=words.device)
        found: Tensor = self.head(self.norm(self.layers(self.words(words) + self.positions(places))))
        return found


LAYER_NORM = learned(2 * 768)


def transformer_costs(length: int) -> Iterator[Cost]:
    for _ in range(12):
        yield linear(length, 768, 3 * 768)
        yield attention(12, length, 64)
        yield linear(length, 768, 768)
        yield linear(length, 768, 3072)
        yield linear(length, 3072, 768)
        yield from (LAYER_NORM, LAYER_NORM)


N_PATCHES = 14 * 14
VIT_B_16_COSTS = (
    conv(14, 3, 768, 16),
    learned(768 + (N_PATCHES + 1) * 768),
    *transformer_costs(N_PATCHES + 1),
    LAYER_NORM,
    linear(1, 768, 1000),
)
BERT_BASE_COSTS = (
    learned((30522 + 512 + 2) * 768),
    LAYER_NORM,
    *transformer_costs(128),
    linear(1, 768, 768),
)
GPT_2_COSTS = (
    learned((50257 + 1024) * 768),
    *transformer_costs(1024),
    LAYER_NORM,
    Cost((1024 * 768 * 50257,), 0),  # the head has the embedding's weights
)


# Two bidirectional layers over an embedding (github.com/bentrevett/pytorch-sentiment-analysis, "Updated Sentiment
# Analysis", which prints 4,810,857 parameters), here of 40 words.


class LstmClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(25002, 100)
        self.lstm = nn.LSTM(100, 256, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(512, 1)

    def forward(self, words: Tensor) -> Tensor:
        _, (states, _) = self.lstm(self.words(words))
        found: Tensor = self.head(torch.cat((states[-2], states[-1]), 1))
        return found


LSTM_CLASSIFIER_COSTS = (
    learned(25002 * 100),
    lstm(40, 100, 256),
    lstm(40, 100, 256),
    lstm(40, 256 + 256, 256),
    lstm(40, 256 + 256, 256),
    linear(1, 256 + 256, 1),
)


# U-Net (Ronneberger et al., MICCAI 2015, figure 1): nothing is padded, and skipped maps are cropped.


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(self.two_convs(*shape) for shape in ((1, 64), (64, 128), (128, 256), (256, 512)))
        self.bottom = self.two_convs(512, 1024)
        widths = (1024, 512, 256, 128)
        self.up = nn.ModuleList(nn.ConvTranspose2d(width, width // 2, 2, 2) for width in widths)
        self.merge = nn.ModuleList(self.two_convs(width, width // 2) for width in widths)
        self.head = nn.Conv2d(64, 2, 1)

    @staticmethod
    def two_convs(n_inputs: int, n_outputs: int) -> nn.Module:
        first, second = nn.Conv2d(n_inputs, n_outputs, 3), nn.Conv2d(n_outputs, n_outputs, 3)
        return nn.Sequential(OrderedDict(conv1=first, relu1=nn.ReLU(), conv2=second, relu2=nn.ReLU()))

    def forward(self, maps: Tensor) -> Tensor:
        skipped = []
        for down in self.down:
            maps = down(maps)
            skipped.append(maps)
            maps = functional.max_pool2d(maps, 2)
        maps = self.bottom(maps)
        for up, merge in zip(self.up, self.merge, strict=True):
            maps = up(maps)
            skip = skipped.pop()
            edge = (skip.shape[-1] - maps.shape[-1]) // 2
            maps = merge(torch.cat((skip[..., edge:-edge, edge:-edge], maps), 1))
        found: Tensor = self.head(maps)
        return found


U_NET_COSTS = (
    conv(570, 1, 64, 3),
    conv(568, 64, 64, 3),
    conv(282, 64, 128, 3),
    conv(280, 128, 128, 3),
    conv(138, 128, 256, 3),
    conv(136, 256, 256, 3),
    conv(66, 256, 512, 3),
    conv(64, 512, 512, 3),
    conv(30, 512, 1024, 3),
    conv(28, 1024, 1024, 3),
    up_conv(28, 1024, 512, 2),
    conv(54, 512 + 512, 512, 3),
    conv(52, 512, 512, 3),
    up_conv(52, 512, 256, 2),
    conv(102, 256 + 256, 256, 3),
    conv(100, 256, 256, 3),
    up_conv(100, 256, 128, 2),
    conv(198, 128 + 128, 128, 3),
    conv(196, 128, 128, 3),
    up_conv(196, 128, 64, 2),
    conv(390, 64 + 64, 64, 3),
    conv(388, 64, 64, 3),
    conv(388, 64, 2, 1),
)


ARCHITECTURES: tuple[Architecture, ...] = (
    architecture(
        "lenet-5",
        lenet_5,
        image(1, 28),
        LENET_5_COSTS,
        (4586e3 / 2, 0.0005, "Han et al., NIPS 2015, table 3: 4586K FLOP, two for a multiply-accumulate"),
    ),
    architecture(
        "alexnet",
        alexnet,
        image(3, 227),
        ALEXNET_COSTS,
        (724e6, 0.001, "Sze et al., Proc. IEEE 105(12), 2017, table II: 724M MACs"),
    ),
    architecture(
        "vgg-16",
        vgg_16,
        image(3, 224),
        vgg_16_costs(),
        (15.47e9, 0.0005, "torchvision's documentation of vgg16: 15.47 GFLOPS, one for a multiply-accumulate"),
    ),
    architecture(
        "resnet-18",
        partial(resnet, RESNET_18, basic_block, 1),
        image(3, 224),
        resnet_18_costs(),
        (1.81e9, 0.003, "torchvision's documentation of resnet18: 1.81 GFLOPS, one for a multiply-accumulate"),
    ),
    architecture(
        "resnet-50",
        partial(resnet, RESNET_50, bottleneck, 4),
        image(3, 224),
        resnet_50_costs(),
        (3.9e9, 0.013, "Sze et al., Proc. IEEE 105(12), 2017, table II: 3.9G MACs"),
    ),
    architecture(
        "mobilenet-v2",
        partial(inverted_residuals, MOBILENET_V2, tensorflow=False),
        image(3, 224),
        inverted_residuals_costs(MOBILENET_V2),
        (300e6, 0.005, "Sandler et al., CVPR 2018, table 4: 300M MAdds"),
    ),
    architecture(
        "efficientnet-lite0",
        partial(inverted_residuals, EFFICIENTNET_LITE0, tensorflow=True),
        image(3, 224),
        inverted_residuals_costs(EFFICIENTNET_LITE0),
        (407e6, 0.06, "github.com/tensorflow/tpu, efficientnet/lite: 407M MAdds, which must hold more than products"),
    ),
    architecture(
        "squeezenet-1.0",
        squeezenet,
        image(3, 227),
        squeezenet_costs(),
        (1.72e9 / 2, 0.003, "github.com/forresti/SqueezeNet, SqueezeNet_v1.1: 1.72 GFLOPS for v1.0, two for each"),
    ),
    architecture(
        "vit-b-16",
        VisionTransformer,
        image(3, 224),
        VIT_B_16_COSTS,
        (17.56e9, 0.0005, "torchvision's documentation of vit_b_16: 17.56 GFLOPS, one for a multiply-accumulate"),
    ),
    architecture(
        "bert-base",
        Bert,
        lambda: (torch.arange(128).reshape(1, 128), torch.zeros(1, 128, dtype=torch.int64)),
        BERT_BASE_COSTS,
        (22.5e9 / 2, 0.01, "Jiao et al., TinyBERT, EMNLP Findings 2020, table 1: 22.5B FLOPs, two for each"),
    ),
    architecture(
        "gpt-2",
        Gpt2,
        tokens(1024),
        GPT_2_COSTS,
        (291648307200 / 2, 0.0, "github.com/karpathy/nanoGPT, transformer_sizing.ipynb: 291648307200, two for each"),
    ),
    architecture("lstm-classifier", LstmClassifier, tokens(40), LSTM_CLASSIFIER_COSTS),
    architecture("u-net", UNet, image(1, 572), U_NET_COSTS),
)
