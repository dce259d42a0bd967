"""Logs for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from polyroots.errors import InputError
from polyroots.files import cannot_write
from polyroots.training.runs.directory import COLUMNS, Row, Run


def require_tensorboard() -> None:
    """Raise InputError if TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError(
            "tensorboard needs TensorBoard, which is not installed: 'pip install tensorboard', or leave it out",
            fields=["tensorboard"],
        ) from error


class Logs:
    """Writer of TensorBoard's logs: a point for each epoch and column of metrics.csv.

    Parameters
    ----------
    run : Run
    is_wanted : bool
        Whether anything is written.
    history : sequence of mapping
        Rows of the finished epochs; they replace what was logged before the run was resumed.
    """

    def __init__(self, run: Run, is_wanted: bool, history: Sequence[Row]) -> None:
        self._writer: Any = None
        self._path = run.logs
        if not is_wanted:
            return
        from torch.utils.tensorboard import SummaryWriter

        try:
            self._writer = SummaryWriter(str(run.logs), purge_step=1 if history else None)
            for row in history:
                self.add(row)
        except OSError as error:
            raise cannot_write(run.logs, error) from error

    def add(self, row: Row) -> None:
        """Write the points of an epoch."""
        if self._writer is None:
            return
        try:
            for name in COLUMNS[1:]:
                if name in row:
                    # TensorBoard groups by the part before the slash: "loss/test" is shown beside "loss/train".
                    part, _, what = name.partition("_")
                    is_measure = what in ("loss", "accuracy")
                    self._writer.add_scalar(f"{what}/{part}" if is_measure else name, row[name], int(row["epoch"]))
            self._writer.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def close(self) -> None:
        """Close the logs."""
        if self._writer is not None:
            with suppress(OSError):  # after the error of the last `add`
                self._writer.close()
