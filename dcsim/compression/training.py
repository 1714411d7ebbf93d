"""One training loop for every stage, with hooks where masks and codebooks act."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from dcsim.compression.recipe import TrainingSpec
from dcsim.datasets import Dataset
from dcsim.errors import NetworkError

FINAL_RATE = 0.01
EVALUATION_BATCH = 2000
TEMPERATURE = 3.0  # assumption: in the range that Hinton et al. found to work


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Teacher:
    """A trained network whose softened answers are learned beside the labels (Hinton et al., arXiv 1503.02531).

    Attributes:
        weight: share of its part of the loss, 0 to 1.
    """

    model: nn.Module
    weight: float

    def loss(self, batch: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Divergence of softened answers, times the squared temperature, which keeps the size of gradients."""
        with torch.no_grad():
            wanted = functional.log_softmax(forward(self.model, batch) / TEMPERATURE, 1)
        found = functional.log_softmax(scores / TEMPERATURE, 1)
        return TEMPERATURE**2 * functional.kl_div(found, wanted, log_target=True, reduction="batchmean")


@dataclass(frozen=True)
class Hooks:
    """What a stage does inside the loop."""

    before_epoch: Callable[[int], None] = _nothing
    before_batch: Callable[[int, int], None] = _nothing  # batches done, of how many
    after_backward: Callable[[], None] = _nothing
    after_step: Callable[[], None] = _nothing
    on_progress: Callable[[int, int, float], None] = _nothing  # batches done, of how many, loss


def fit(
    model: nn.Module,
    parameters: Iterable[nn.Parameter],
    dataset: Dataset,
    spec: TrainingSpec,
    generator: torch.Generator,
    hooks: Hooks,
    teacher: Teacher | None = None,
) -> None:
    """Minimise cross-entropy over the training set.

    Args:
        model: classifier; its parameters are changed in place.
        parameters: what the optimiser moves; weight decay acts on those of two or more dimensions.
        generator: the only source of randomness.
        teacher: its answers are part of what is minimised.

    Raises:
        NetworkError: the model's forward fails on the data, or the loss is no longer finite.
    """
    with _threads(spec.n_threads):
        inputs, labels = torch.from_numpy(dataset.train_inputs), torch.from_numpy(dataset.train_labels)
        batch_size = min(spec.batch_size, len(inputs))
        n_batches = len(inputs) // batch_size
        optimiser = _optimiser(parameters, spec)
        total = n_batches * spec.epochs
        model.train()
        for epoch in range(spec.epochs):
            hooks.before_epoch(epoch)
            order = torch.randperm(len(inputs), generator=generator)
            for number in range(n_batches):
                done = epoch * n_batches + number
                for group in optimiser.param_groups:
                    group["lr"] = spec.learning_rate * (1 - (1 - FINAL_RATE) * done / total)
                chosen = order[number * batch_size : (number + 1) * batch_size]
                batch = shifted(inputs[chosen], spec.shift_pixels, generator)
                optimiser.zero_grad()
                hooks.before_batch(done, total)
                scores = forward(model, batch)
                loss = functional.cross_entropy(scores, labels[chosen])
                if teacher is not None:
                    loss = (1 - teacher.weight) * loss + teacher.weight * teacher.loss(batch, scores)
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                hooks.after_backward()
                optimiser.step()
                hooks.after_step()
                hooks.on_progress(done + 1, total, float(loss.detach()))
            if not torch.isfinite(loss):
                raise NetworkError(
                    f"the loss is {float(loss)} after epoch {epoch + 1}; lower learning_rate in the recipe"
                )
        model.eval()


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    """torch on `n_threads` threads, and back to what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _optimiser(parameters: Iterable[nn.Parameter], spec: TrainingSpec) -> torch.optim.Optimizer:
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.dim() >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in listed if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=spec.learning_rate, fused=True)


def forward(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """The model's output. Raises NetworkError when its forward fails."""
    try:
        output = model(batch)
    except Exception as error:
        shape = tuple(batch.shape)
        raise NetworkError(f"the model's forward fails on an input of shape {shape}: {error}") from error
    if not isinstance(output, torch.Tensor):
        raise NetworkError(f"the model returns {type(output).__name__}, expected one tensor of class scores")
    return output


def shifted(images: torch.Tensor, n_pixels: int, generator: torch.Generator) -> torch.Tensor:
    """Every image moved by its own random offset of up to `n_pixels` each way, zeros entering at the edge.

    Args:
        images: (n, channels, height, width).
    """
    if n_pixels == 0:
        return images
    n, channels, height, width = images.shape
    padded = functional.pad(images, (n_pixels,) * 4)
    tops, lefts = torch.randint(0, 2 * n_pixels + 1, (2, n), generator=generator)
    rows = (tops[:, None] + torch.arange(height))[:, :, None]
    columns = (lefts[:, None] + torch.arange(width))[:, None, :]
    flat = (rows * (width + 2 * n_pixels) + columns).view(n, 1, -1).expand(n, channels, height * width)
    return padded.flatten(2).gather(2, flat).view_as(images)


@torch.no_grad()
def error_rate(model: nn.Module, dataset: Dataset) -> float:
    """Wrong / all on the test set."""
    model.eval()
    inputs, labels = torch.from_numpy(dataset.test_inputs), torch.from_numpy(dataset.test_labels)
    n_wrong = 0
    for start in range(0, len(inputs), EVALUATION_BATCH):
        scores = forward(model, inputs[start : start + EVALUATION_BATCH])
        n_wrong += int((scores.argmax(1) != labels[start : start + EVALUATION_BATCH]).sum())
    return n_wrong / len(inputs)
