"""Training of the user's own network on the user's own data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from polyroots.checkpoints import Checkpoint
from polyroots.errors import InputError, one_sentence, unknown_name
from polyroots.initialization import FOR_TRAINING
from polyroots.models import AlphaInit, ModelConfig, unwrapped
from polyroots.training.config import CHANGEABLE, TrainConfig
from polyroots.training.data.given import GIVEN, GivenData, GivenSamples, given_samples, image_shape
from polyroots.training.data.normalisation import AsGiven
from polyroots.training.loop.reporter import Reporter
from polyroots.training.loop.result import TrainResult
from polyroots.training.loop.train import changed, resume_with, train
from polyroots.training.runs.directory import Run, load_config

# Fields of `TrainConfig` that describe what is given here as objects.
_OF_OBJECTS = ("dataset", "data_dir", "model", "normalisation", "augment", "fill", "limit", "val_fraction")


def fit(
    model: nn.Module,
    train_data: Any,
    test_data: Any,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    **fields: Any,
) -> TrainResult:
    """Train a network of your own on data of your own, write a run directory, and return the result.

    Any network that returns logits is trained as `train` trains those of polyroots: SGD with a warm-up and half a
    cosine, mixed precision, several processes, `metrics.csv`, `last.pt`, `best.pt`, interruption and resume. A
    `PolyBlock` or `Level` inside of it takes part: levels without roots get coefficients from their spectra first, no
    coefficient is decayed, and `track_spectrum` stores their spectra.

    A run that was stopped goes on by the same call with ``resume=True``; its result is bit by bit that without the
    stop, on the same CPU with the same number of threads. For this each sample is read with the generators of torch,
    numpy and Python seeded for seed, epoch and sample, and the order comes from the seed. It does not hold if
    a data set or sampler draws from a generator of its own, and a warning says so: by the reporter, or of Python.

    Parameters
    ----------
    model : nn.Module
        Trained in place: (batch, ...) -> (batch, num_classes) logits.
    train_data, test_data : Dataset or DataLoader
        Map-style data sets of pairs (input, class), or data loaders of such. Of a loader the batch size, collate_fn,
        number of workers, drop_last and a sampler of its own are used; shuffling is by the seed.
    out : path, optional
        The run directory, which must not hold a run, or with `resume` the one to go on with. By default a new one under
        runs/.
    resume : bool
        Whether to go on with the run in `out`. `model` is the same network, built again; its weights are read.
    reporter : Reporter, optional
        Its methods are called while the run trains.
    **fields
        Fields of `TrainConfig`: epochs (10), batch_size (64, or that of the loader), lr, momentum, weight_decay, seed,
        device, precision, track_spectrum and others; roots, alpha_init, relax and signs are for polynomial levels.

    Returns
    -------
    TrainResult

    Raises
    ------
    InputError
        If the data are streams, samples are no pairs of a tensor and a class, the network doesn't take them, or fields
        are unknown.
    FileError, DivergedError, StoppedError
        As `train`.

    See Also
    --------
    train : networks and data sets by name
    polyroots.models.PolyBlock : a polynomial block for any network

    Examples
    --------
    >>> import tempfile
    >>> import polyroots as pr
    >>> from torch.utils.data import TensorDataset
    >>> images, classes = torch.randn(40, 3, 8, 8), torch.arange(40) % 2
    >>> net = nn.Sequential(
    ...     nn.Conv2d(3, 4, 3), pr.models.PolyBlock(4, roots=[0.7, 1 + 0.3j]), nn.Flatten(), nn.Linear(144, 2)
    ... )
    >>> data = TensorDataset(images, classes)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     result = fit(net, data, data, directory, epochs=1, device="cpu")
    >>> result.config.model.name, result.best_epoch
    (':Sequential', 1)
    """
    given = _given(model, train_data, test_data, fields)
    for name in fields:
        if name in _OF_OBJECTS or name not in TrainConfig.model_fields:
            known = [field for field in TrainConfig.model_fields if field not in _OF_OBJECTS]
            raise unknown_name("field of fit", name, known)
    needs_spectrum = AlphaInit.parse(fields.get("alpha_init", "spectrum")).needs_spectrum
    chosen = FOR_TRAINING if needs_spectrum else {}
    try:
        config = TrainConfig(
            dataset=GIVEN,
            model=given.config,
            normalisation="none",
            augment="none",
            fill=0,
            **{"epochs": 10, "batch_size": given.batch_size} | chosen | fields,
        )
    except ValidationError as error:
        raise one_sentence(error) from None
    _warn(given.data, config, reporter)
    if not resume:
        start = Checkpoint(given.config, {name: weight.clone() for name, weight in model.state_dict().items()})
        return train(config, given.data, out, start=start, reporter=reporter)
    if out is None:
        raise InputError("resume goes on with the run in out, and none is given", fields=["out"])
    return _resume(Run(out), config, given.data, fields, reporter)


def _resume(
    run: Run, config: TrainConfig, data: GivenData, fields: dict[str, Any], reporter: Reporter | None
) -> TrainResult:
    """Go on with a run, after checking that it has the same configuration."""
    own = load_config(run)
    run.require_whole()
    for name in TrainConfig.model_fields:
        before, now = getattr(own, name), getattr(config, name)
        if before != now and name not in CHANGEABLE:
            raise InputError(
                f"{run.path} has {name} {before!r}, got {now!r}: give what it began with, or start a new run",
                fields=[name],
            )
    changes = {name: value for name, value in fields.items() if name in CHANGEABLE}
    return resume_with(data, run, changed(own, changes), changes, reporter)


@dataclass(frozen=True)
class _Given:
    """What the network and the data are: their configuration, the data as a source, and the size of a batch."""

    config: ModelConfig
    data: GivenData
    batch_size: int


def _given(model: nn.Module, train_data: Any, test_data: Any, fields: dict[str, Any]) -> _Given:
    """Return what the network and the data are, by one forward pass of two samples."""
    if not isinstance(model, nn.Module):
        raise InputError(f"expected a torch.nn.Module to train, got {type(model).__name__}; build it first")
    size = fields.get("batch_size")
    samples = given_samples(train_data, "training data", size)
    test = given_samples(test_data, "test data", size)
    if len(samples) < 2:
        raise InputError("expected two training samples at least, got one")
    batch_size = _size_of(samples, fields.get("seed", 7)) if size is None else size
    ((inputs, labels),) = samples.batches([torch.arange(2)], workers=0)
    model.cpu()
    outputs = _outputs(model, AsGiven()(inputs))
    channels, grid = image_shape(tuple(inputs.shape[1:]))
    config = ModelConfig(
        name=f":{type(unwrapped(model)).__name__}",
        image_size=grid,
        in_channels=channels,
        num_classes=outputs,
        channels=(),
    )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0:
        raise InputError(f"expected classes from 0 to {outputs - 1}, got the class {lowest}; number them from 0")
    if highest >= outputs:
        raise InputError(f"the network has {outputs} outputs, and a sample the class {highest}; give it more")
    return _Given(config, GivenData(samples, test, model, outputs, tuple(inputs.shape[1:])), batch_size)


def _size_of(samples: GivenSamples, seed: int) -> int:
    """Return the batch size of a loader; 64 without one."""
    own = samples.own_batches(seed, 1)
    return samples.evaluation_batch if own is None else max(map(len, own))


def _outputs(model: nn.Module, inputs: torch.Tensor) -> int:
    """Return the number of outputs of a network, by a forward pass in evaluation mode."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = model.eval()(inputs)
    except Exception as error:  # whatever a network of any author raises
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{type(model).__name__} doesn't take the samples, {inputs.dtype} of shape {tuple(inputs.shape)}: {line}"
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2 or logits.shape[1] < 2:
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InputError(f"expected logits of shape (batch, num_classes) of two classes at least, got {shape}")
    return logits.shape[1]


def _warn(data: GivenData, config: TrainConfig, reporter: Reporter | None) -> None:
    """Say why a resumed run may differ from one without a stop."""
    reason = data.train.why_not_exact(config.seed)
    if not reason:
        return
    message = f"{reason}; a run that is stopped and resumed won't be bit by bit the one without the stop"
    if reporter is None:
        warnings.warn(message, stacklevel=3)
    else:
        reporter.on_warning(message)
