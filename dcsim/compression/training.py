"""One training loop for every stage, with hooks where masks and codebooks act, which can go on where it was killed."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dcsim.compression.recipe import RunSpec, TrainingSpec
from dcsim.datasets import Dataset
from dcsim.errors import NetworkError
from dcsim.files import write_bytes

FINAL_RATE = 0.01
EVALUATION_BATCH = 250  # more take longer: their activations leave the caches
TEMPERATURE = 3.0  # assumption: in the range that Hinton et al. found to work
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
SMOOTHING = 0.98  # of the loss and error that are shown
CHECKPOINT_EVERY_S = 20.0  # seconds between two writes at least

#: run, batches done, of how many, what to say
OnProgress = Callable[[str, int, int, str], None]


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


class Hooks:
    """What a stage does inside the loop. `state` and `restore` carry what is not in the model over a killed job."""

    def before_epoch(self, epoch: int) -> None:
        """Called with epochs counted from 0."""

    def before_batch(self, done: int, total: int) -> None:
        """Called with the batches done, of how many in the whole run, before the forward pass."""

    def after_backward(self) -> None:
        """Called when gradients are there."""

    def after_step(self) -> None:
        """Called when the optimiser has moved the parameters."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, by name."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""


@dataclass
class Checkpoint:
    """Where a job stands, in a file that a killed job leaves: the same bytes come out as if it had not been killed.

    Attributes:
        key: of all that the job depends on; the file of another job is not taken up.
    """

    path: Path
    key: str
    _written: float = field(default_factory=time.monotonic)

    def load(self) -> dict[str, Any] | None:
        """What was saved, or None when there is nothing of this job that can be read."""
        try:
            saved = torch.load(self.path, weights_only=True)
            return dict(saved["job"]) if saved["key"] == self.key else None
        except Exception:  # torch raises many kinds; whatever it is, the job begins anew
            return None

    def save(self, job: dict[str, Any]) -> None:
        """Replace the file, unless it is too young. Raises OutputError."""
        if time.monotonic() - self._written < CHECKPOINT_EVERY_S:
            return
        buffer = io.BytesIO()
        torch.save({"key": self.key, "job": job}, buffer)
        write_bytes(self.path, buffer.getvalue())
        self._written = time.monotonic()

    def remove(self) -> None:
        """When the job is finished."""
        self.path.unlink(missing_ok=True)


@dataclass
class Trainer:
    """What all runs of a job share. Minimises cross-entropy over the training set.

    Attributes:
        model: classifier; its parameters are changed in place.
        generator: draws batches and shifts; dropout draws from torch's own, which is to be seeded too.
        saved: where an earlier job was killed; runs before that are left out.
    """

    model: nn.Module
    dataset: Dataset
    training: TrainingSpec
    generator: torch.Generator
    teacher: Teacher | None = None
    on_progress: OnProgress = lambda run, done, total, note: None
    checkpoint: Checkpoint | None = None
    saved: dict[str, Any] | None = None

    def skips(self, run: str) -> bool:
        """Whether `run` was finished by the job that was killed."""
        return self.saved is not None and self.saved["run"] != run

    def fit(self, run: str, spec: RunSpec, parameters: Iterable[nn.Parameter], hooks: Hooks) -> None:
        """One run.

        Args:
            parameters: what the optimiser moves; weight decay acts on those of two or more dimensions.

        Raises:
            NetworkError: the model's forward fails on the data, or the loss is no longer finite.
            OutputError: the checkpoint cannot be written.
        """
        with in_threads(self.training.n_threads):
            optimiser = self._optimiser(parameters, spec)
            first_epoch = 0
            if self.saved is not None:
                first_epoch = self.saved["epoch"]
                optimiser.load_state_dict(self.saved["optimiser"])
                self.generator.set_state(self.saved["generator"])
                torch.set_rng_state(self.saved["dropout"])
                for name, rate in self.saved["dropout_rates"].items():
                    setattr(self.model.get_submodule(name), "p", rate)  # noqa: B010 - typed as any module
                hooks.restore(self.saved["hooks"])
                self.saved = None
            self.model.train()
            for epoch in range(first_epoch, spec.epochs):
                self._epoch(run, epoch, spec, optimiser, hooks)
                if self.checkpoint and epoch + 1 < spec.epochs:
                    job = {"run": run, "epoch": epoch + 1, "hooks": hooks.state(), "model": self.model.state_dict()}
                    job |= {"optimiser": optimiser.state_dict(), "generator": self.generator.get_state()}
                    job |= {"dropout": torch.get_rng_state(), "dropout_rates": dropout_rates(self.model)}
                    self.checkpoint.save(job)
            self.model.eval()

    def _epoch(self, run: str, epoch: int, spec: RunSpec, optimiser: torch.optim.Optimizer, hooks: Hooks) -> None:
        inputs = torch.from_numpy(self.dataset.train_inputs)
        labels = torch.from_numpy(self.dataset.train_labels)
        batch_size = min(self.training.batch_size, len(inputs))
        n_batches = len(inputs) // batch_size
        total = n_batches * spec.epochs
        shown_loss = shown_error = 0.0
        hooks.before_epoch(epoch)
        order = torch.randperm(len(inputs), generator=self.generator)
        for number in range(n_batches):
            done = epoch * n_batches + number
            for group in optimiser.param_groups:
                group["lr"] = spec.learning_rate * (1 - (1 - FINAL_RATE) * done / total)
            chosen = order[number * batch_size : (number + 1) * batch_size]
            batch = shifted(inputs[chosen], self.training.shift_pixels, self.generator)
            optimiser.zero_grad()
            hooks.before_batch(done, total)
            scores = forward(self.model, batch)
            loss = functional.cross_entropy(scores, labels[chosen])
            if self.teacher is not None:
                taught = self.teacher.loss(batch, scores)
                loss = (1 - self.teacher.weight) * loss + self.teacher.weight * taught
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            hooks.after_backward()
            optimiser.step()
            hooks.after_step()
            memory = min(SMOOTHING, number / (number + 1))
            wrong = float((scores.detach().argmax(1) != labels[chosen]).float().mean())
            shown_loss = memory * shown_loss + (1 - memory) * float(loss.detach())
            shown_error = memory * shown_error + (1 - memory) * wrong
            self.on_progress(run, done + 1, total, f"loss {shown_loss:.3f}, error {100 * shown_error:.2f} %")
        if not torch.isfinite(loss):
            raise NetworkError(f"the loss is {float(loss)} after epoch {epoch + 1}; lower learning_rate in the recipe")

    def _optimiser(self, parameters: Iterable[nn.Parameter], spec: RunSpec) -> torch.optim.Optimizer:
        listed = list(parameters)
        groups = [
            {"params": [p for p in listed if p.dim() >= 2], "weight_decay": self.training.weight_decay},
            {"params": [p for p in listed if p.dim() < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=spec.learning_rate, fused=True)


def dropout_rates(model: nn.Module) -> dict[str, float]:
    """The rate of every dropout, by the name of its module."""
    return {name: module.p for name, module in model.named_modules() if isinstance(module, DROPOUTS)}


@contextmanager
def in_threads(n_threads: int) -> Iterator[None]:
    """torch on `n_threads` threads, and back to what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
