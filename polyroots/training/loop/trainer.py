"""The training of a run: its network and its data, and the files that are written after each epoch."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from polyroots.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.errors import FileError, InputError, PolyrootsError
from polyroots.files import write_json
from polyroots.models import channels_last, count_weights, poly_parts
from polyroots.text import count_of
from polyroots.training.config import TrainConfig
from polyroots.training.data.batches import epoch_order, part_of, split_batches
from polyroots.training.data.cache import CacheWarning
from polyroots.training.data.given import GivenData
from polyroots.training.data.normalisation import laid_out, normalisation_for
from polyroots.training.data.source import Source
from polyroots.training.data.split import SampleSet, SampleSets
from polyroots.training.loop.device import compiled, describe
from polyroots.training.loop.epoch import DivergedError, EpochLoop
from polyroots.training.loop.evaluate import Scores, evaluation_sums, scores_from
from polyroots.training.loop.feed import make_feed
from polyroots.training.loop.interruption import Interruption
from polyroots.training.loop.optimizer import make_optimizer
from polyroots.training.loop.processes import first_alone, in_first, share_buffers, total
from polyroots.training.loop.recalibration import recalibrate
from polyroots.training.loop.reporter import Beginning, Reporter
from polyroots.training.loop.result import StoppedError, TrainResult
from polyroots.training.runs.directory import Run, RunMovedError
from polyroots.training.runs.first_network import network_at_start
from polyroots.training.runs.identity import require_same_images
from polyroots.training.runs.logs import Logs
from polyroots.training.runs.parts import described
from polyroots.training.runs.state import RunState, random_states, set_random_states
from polyroots.training.runs.tracking import Tracker, to_track

T = TypeVar("T")


class Trainer:
    """Trains a run, in this process and those that train with it.

    Parameters
    ----------
    config, source, run, fabric : TrainConfig, Source, Run, Fabric
    reporter : Reporter, optional
        Its methods are called in the first process.
    interruption : Interruption
        Requests to stop.
    start : Checkpoint, optional
        The network to start from; by default a fresh one.
    saved : Checkpoint, optional
        ``last.pt`` of the run, if it is resumed.

    Raises
    ------
    InputError, FileError
        If the images can't be read or don't go with `saved`, or the coefficients can't be set.
    """

    def __init__(
        self,
        config: TrainConfig,
        source: Source,
        run: Run,
        fabric: Fabric,
        reporter: Reporter | None,
        interruption: Interruption,
        *,
        start: Checkpoint | None = None,
        saved: Checkpoint | None = None,
    ) -> None:
        self.config, self.source, self.run, self.fabric = config, source, run, fabric
        self.interruption = interruption
        is_first = fabric.global_rank == 0
        self.reporter = reporter if reporter is not None and is_first else Reporter()
        self.data = first_alone(fabric, self._load)
        if len(self.data.train) < 2 * config.processes:
            raise InputError(
                f"{count_of(len(self.data.train), 'training image')} for "
                f"{count_of(config.processes, 'process', 'processes')}: batch norm needs two for each at least; take "
                "more images or fewer processes"
            )
        self.fingerprint = self.data.fingerprint()
        self.normalise = normalisation_for(config.normalisation, self.data.train)

        fabric.seed_everything(config.seed, verbose=False)
        if saved is not None:
            require_same_images(run.last, saved, self.fingerprint)
            model, self.init = saved.model(run_code=True, into=source.network), saved.init
        else:
            model, self.init = network_at_start(config, start, source.network, self._example)
        has_parts = config.model.is_own and config.track_spectrum
        self.parts = poly_parts(model, self._example()) if has_parts else []
        if config.sync_batch_norm:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model: nn.Module = channels_last(model)
        network = compiled(self.model, fabric.device) if config.compile else self.model
        network, self.optimizer = fabric.setup(network, make_optimizer(self.model, config))

        has_spectra = bool(config.track_spectrum) and (bool(self.parts) or not config.model.is_own)
        self.tracker = Tracker(run) if has_spectra and is_first else None
        self.loop = EpochLoop(
            config,
            fabric,
            network,
            self.optimizer,
            make_feed(self.data.train, fabric.device, config),
            self.data.train,
            self.normalise,
            self.reporter,
            interruption,
            run.require_in_place,
        )
        self.state = RunState()
        self.is_fresh = saved is None
        if saved is not None:
            self.state = RunState.restore((saved.training or {}).get("state", {}), self.optimizer)
            self.state.require_within(config.epochs, self.loop.steps)
            in_first(fabric, self._require_best)
        self.kept = "no checkpoint was written yet" if self.is_fresh else _kept(run, self.state)

    def complete(self) -> TrainResult:
        """Train the epochs that are left and return the result; the errors are those of `polyroots.training.train`."""
        config, state = self.config, self.state
        count, device = count_weights(self.model), describe(self.fabric)
        progress = state.epoch, state.step
        self.reporter.on_start(Beginning(config, self.source, self.run, self.init, count, device, *progress))
        self.logs = Logs(self.run, config.tensorboard and self.fabric.global_rank == 0, state.history)
        try:
            with self.interruption.deferred():
                self._in_first(self._write_beginning)
                while state.epoch < config.epochs:
                    row = self._train_epoch()
                    if row is None:
                        raise self._stopped()
                    self._in_first(partial(self._write_epoch, state.finish_epoch(row)))
                    self.reporter.on_epoch(row)
                result, document = self._result()
            # A run with result.json is done, and a study doesn't go on with it: the spectra come before. The other
            # processes don't wait for them, since messages between processes have a time limit.
            if self.fabric.global_rank == 0:
                self._await_spectra()
                with self._telling_what_is_kept():
                    self._in_place(lambda: write_json(self.run.result, document, make_parents=False))
        finally:
            self.logs.close()
            if self.tracker is not None:
                self.tracker.stop()
                for problem in self.tracker.problems:
                    self.reporter.on_warning(f"a spectrum could not be tracked: {problem}")
        return result

    def _example(self) -> Tensor:
        """Return the inputs of two training samples, for a forward pass."""
        ((inputs, _),) = self.data.train.batches([torch.arange(2)])
        return self.normalise(inputs)

    def _load(self) -> SampleSets:
        """Read the images; warnings of the cache go to the reporter."""
        if isinstance(self.source, GivenData):
            return self.source.samples()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CacheWarning)
            data = self.source.load(self.config.limit, self.reporter.on_images, self.config.val_fraction)
        for warning in caught:
            self.reporter.on_warning(str(warning.message))
        return data

    def _train_epoch(self) -> dict[str, int | float] | None:
        """Train and evaluate an epoch, and return its line of metrics.csv; None after a request to stop."""
        state = self.state
        try:
            if not self.loop.run(state):
                return None
            row = self.loop.row(state)
            self._recalibrate()
            parts = {"test": self.data.test}
            if self.data.validation is not None:
                # With validation images, the test images are used after the last epoch only.
                is_last = state.epoch + 1 == self.config.epochs
                parts = {"val": self.data.validation} | (parts if is_last else {})
            for name, split in parts.items():
                scores = self._score(split)
                if scores is None:
                    return None
                if not math.isfinite(scores.loss):
                    what = "validation" if name == "val" else name
                    raise DivergedError(f"the {what} loss is {scores.loss} after epoch {state.epoch + 1}")
                row |= {f"{name}_loss": scores.loss, f"{name}_accuracy": scores.accuracy}
            return row
        except DivergedError as error:
            raise DivergedError(
                f"{error}; {self.kept}; choose a smaller lr than {self.config.lr:g}", fields=["lr"]
            ) from None

    def _recalibrate(self) -> None:
        """Set the statistics of batch norm for evaluation, if that is asked for; checkpoints hold them as well."""
        config, fabric, split = self.config, self.fabric, self.data.train
        if config.bn_recalibrate is None:
            return
        order = epoch_order(config.seed, self.state.epoch + 1, len(split))
        batches = split_batches(order, config.batch_size, config.processes)[: config.bn_recalibrate]
        parts = (part_of(batch, fabric.global_rank, config.processes) for batch in batches)
        # Without augmentation, like the images of the evaluation.
        images = (self.normalise(batch.to(fabric.device)) for batch, _ in split.batches(list(parts)))
        # A network may draw random numbers, and the recalibration is repeated after a stop during the evaluation.
        before = random_states()
        with fabric.autocast():
            recalibrate(self.model, map(laid_out, images), partial(total, fabric))
        set_random_states(before)

    def _score(self, split: SampleSet, other: nn.Module | None = None) -> Scores | None:
        """Return the scores of the network, or of another one, from all processes; None after a request to stop."""
        fabric, processes = self.fabric, self.config.processes
        model = self.model if other is None else channels_last(other).to(fabric.device)
        share_buffers(fabric, model)
        part = part_of(torch.arange(len(split)), fabric.global_rank, processes)

        def stops() -> bool:
            return processes == 1 and self.interruption.requested

        with fabric.autocast():
            sums = evaluation_sums(model, split.subset(part), self.normalise, fabric.device, stops)
        return None if stops() else scores_from(total(fabric, sums), len(split))

    def _checkpoint(self, is_last: bool) -> Checkpoint:
        """Return the network and its training data; for last.pt also the state that `resume` restores."""
        training = {
            "epoch": self.state.epoch,
            "step": self.state.step,
            "config": self.config.model_dump(mode="json"),
            "identity": self.run.identity,
            "classes": list(self.source.classes),
            "images": self.fingerprint,
            "mean": list(self.normalise.mean),
            "std": list(self.normalise.std),
            "weights": count_weights(self.model),
            **described(self.model, self.parts),
        }
        if is_last:
            training["state"] = self.state.to_dict(self.optimizer)
        return Checkpoint(self.config.model, self.model.state_dict(), self.init, training)

    def _write_beginning(self) -> None:
        """Write the files of a run before its first step; of a resumed one, those that were lost when it was killed."""
        state = self.state
        if self.init is not None and not self.run.init.exists():
            write_json(self.run.init, self.init, make_parents=False)
        self.run.write_metrics(state.history)
        if self.tracker is not None:
            self.tracker.forget_after(state.epoch)
            if self.is_fresh:
                self._track()
        if self.is_fresh:
            self._save_last()
        elif state.epoch == state.best[0] > 0 and not state.step:
            self._save_best()

    def _require_best(self) -> None:
        """Raise FileError if best.pt, which is evaluated at the end of a run with validation images, can't be had."""
        state, best = self.state, self.state.best[0]
        # A run that was killed after its best epoch, before it wrote best.pt, writes it when it is resumed.
        is_at_hand = state.epoch == best and not state.step
        if self.data.validation is not None and best and not is_at_hand and not self.run.best.exists():
            raise FileError(
                f"{self.run.best} is missing, which the result of {self.run.path} needs: its epoch {best} is the best "
                f"on the validation images; restore it, or start a new run from {self.run.last}",
                fields=["start"],
            )

    def _write_epoch(self, is_best: bool) -> None:
        """Write the files of an epoch."""
        # A killed run resumes from last.pt: files that can't be made from it are written before it, the others after.
        self._track()
        self._save_last()
        if is_best:
            self._save_best()
        self.run.append_metrics(self.state.history[-1])
        self.logs.add(self.state.history[-1])

    def _track(self) -> None:
        """Add the network to the queue of spectra in every `track_spectrum`-th epoch and in the last one."""
        epoch, every = self.state.epoch, self.config.track_spectrum
        if self.tracker is None or not every:
            return
        if epoch % every == 0 or epoch == self.config.epochs:
            self.tracker.add(epoch, to_track(self.config.model, self.model, self.parts))
        self.tracker.advance()

    def _await_spectra(self) -> None:
        """Wait until the queue of spectra is empty; after a request to stop it is left for when the run is resumed."""
        if self.tracker is None:
            return
        if not self.interruption.requested:
            with suppress(KeyboardInterrupt):
                self.tracker.wait()
        if self.tracker.is_busy:
            raise self._stop_error("after the last epoch, before its spectra were computed")

    def _in_first(self, work: Callable[[], T]) -> T:
        """Read or write in the first process; the error of a failure has the content of last.pt."""
        with self._telling_what_is_kept():
            return in_first(self.fabric, partial(self._in_place, work))

    def _in_place(self, work: Callable[[], T]) -> T:
        """Read or write in the directory of the run, if that is where it was."""
        self.run.require_in_place()
        try:
            return work()
        except FileError:
            self.run.require_in_place()
            raise

    @contextmanager
    def _telling_what_is_kept(self) -> Iterator[None]:
        """Add the content of last.pt to the error of a file."""
        try:
            yield
        except RunMovedError:
            raise
        except FileError as error:
            raise FileError(f"{error}; {self.kept}", fields=error.fields) from error

    def _save_last(self) -> None:
        save_checkpoint(self.run.last, self._checkpoint(is_last=True), make_parents=False)
        self.kept = _kept(self.run, self.state)

    def _save_best(self) -> None:
        save_checkpoint(self.run.best, self._checkpoint(is_last=False), make_parents=False)

    def _stopped(self) -> PolyrootsError:
        """Save the unfinished epoch after a request to stop, and return the error to raise."""
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            return DivergedError(f"interrupted, with weights that are no longer finite; {self.kept}")
        self._in_first(self._save_last)
        is_trained = self.state.epoch == self.config.epochs
        return self._stop_error("after the last epoch" if is_trained else f"in epoch {self.state.epoch + 1}")

    def _stop_error(self, where: str) -> StoppedError:
        """Return the error of a run that has stopped there, with the command that resumes it."""
        again = f"pr.training.fit(..., out={str(self.run.path)!r}, resume=True)"
        how = self.run.resume_command if self.source.network is None else again
        return StoppedError(f"interrupted {where}; {self.kept}; go on with: {how}")

    def _result(self) -> tuple[TrainResult, dict[str, Any]]:
        """Return the result and the document of it; the best epoch is evaluated on the test images if need be."""
        state, last = self.state, self.state.history[-1]
        epoch, accuracy = state.best
        best = state.history[epoch - 1]
        chosen_on = "test" if self.data.validation is None else "validation"
        if "test_accuracy" not in best:
            saved = self._in_first(lambda: load_checkpoint(self.run.best))
            scores = self._score(self.data.test, saved.model(run_code=True, into=copy.deepcopy(self.source.network)))
            if scores is None:
                raise self._stopped()
            best = {"test_loss": scores.loss, "test_accuracy": scores.accuracy}
        seconds = sum(row["train_seconds"] for row in state.history)
        rate = state.epoch * self.loop.count / seconds
        document = {
            "identity": self.run.identity,
            "data": self.source.title,
            "epochs": state.epoch,
            "last": {"epoch": state.epoch, "test_loss": last["test_loss"], "test_accuracy": last["test_accuracy"]},
            "best": {
                "epoch": epoch,
                "test_loss": best["test_loss"],
                "test_accuracy": best["test_accuracy"],
                f"{chosen_on}_accuracy": accuracy,
            },
            "chosen_on": chosen_on,
            "images_per_second": rate,
        }
        accuracies = last["test_accuracy"], best["test_accuracy"]
        return TrainResult(self.run, self.config, self.source.title, *accuracies, epoch, chosen_on, rate), document


def _kept(run: Run, state: RunState) -> str:
    """Return a sentence on the content of last.pt."""
    if state.step:
        return f"{run.last} holds epoch {state.epoch} and {count_of(state.step, 'step')} of the next one"
    return f"{run.last} holds " + (f"epoch {state.epoch}" if state.epoch else "the network before its first step")
