"""One run of a study in a process of its own: ``python -m polyroots.study.worker DIR NAME PARENT``.

With the study alone, ``python -m polyroots.study.worker DIR``, it forks the processes of its runs, see `Forker`.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module

from polyroots.errors import FileError, PolyrootsError
from polyroots.processes import stop_without
from polyroots.study.directory import StudyDirectory
from polyroots.study.forks import serve
from polyroots.study.progress import STOPPED
from polyroots.text import count_of
from polyroots.training import Beginning, Reporter, StoppedError, describe_data, open_data, resume, train


class _LogReporter(Reporter):
    """Prints a line for each epoch and each warning."""

    def on_start(self, beginning: Beginning) -> None:
        """Print the network, the data, the device and the number of epochs that are done."""
        config = beginning.config
        print(
            f"{config.model.title}, {beginning.weights:,} weights; {beginning.source.title}; {beginning.device}; "
            f"{beginning.epoch} of {count_of(config.epochs, 'epoch')} done",
            flush=True,
        )

    def on_epoch(self, row: dict[str, int | float]) -> None:
        """Print the losses and accuracies of an epoch."""
        values = ", ".join(f"{name} {value:.6g}" for name, value in row.items() if name != "epoch")
        print(f"epoch {row['epoch']:.0f}: {values}", flush=True)

    def on_warning(self, message: str) -> None:
        """Print a warning."""
        print(f"Warning: {message}", flush=True)


def work(directory: StudyDirectory, name: str) -> None:
    """Train a run of a study, or resume it; a run that is done is left as it is.

    Raises
    ------
    FileError
        If the study has no such run.
    PolyrootsError
        As `polyroots.training.train` and `resume`.
    """
    planned = {run.name: run for run in directory.read().runs}
    if name not in planned:
        raise FileError(f"{directory.plan} has no run {name}")
    run, config = directory.run(name), planned[name].config
    if run.result.exists():
        return
    if run.config.exists():
        resume(run.path, reporter=_LogReporter(), data_dir=config.data_dir, device=config.device)
    else:
        train(config, open_data(config.dataset, config.data_dir), run.path, reporter=_LogReporter())


def run_worker(directory: StudyDirectory, name: str) -> int:
    """Train a run, print the reason of an early end as the last line, and return the exit status: 0, `STOPPED` or 1."""
    try:
        work(directory, name)
    except (StoppedError, KeyboardInterrupt) as error:
        print(f"Stopped: {error}" if str(error) else "Stopped", flush=True)
        return STOPPED
    except PolyrootsError as error:
        print(f"Error: {error}", flush=True)
        return 1
    except Exception:  # a mistake of polyroots or of the user's code: the log has all of it, and the study goes on
        traceback.print_exc()
        return 1
    return 0


def main(directory: str, name: str, parent: str) -> int:
    """Run the worker's process."""
    if os.environ.get("LOCAL_RANK", "0") == "0":  # the processes of other ranks are its children and stop with it
        stop_without(int(parent))
    return run_worker(StudyDirectory(directory), name)


def fork(directory: str) -> int:
    """Import what the runs of a study need, and fork their processes."""
    with suppress(PolyrootsError):  # the run that has no data says so
        planned = [run.config for run in StudyDirectory(directory).read().runs]
        for name, data_dir in {(config.dataset, config.data_dir) for config in planned}:
            for module in describe_data(name, data_dir).modules:
                import_module(module)
    return serve(main)


if __name__ == "__main__":
    sys.exit((fork if len(sys.argv) == 2 else main)(*sys.argv[1:]))
