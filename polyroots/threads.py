"""Many small dense problems at once: LAPACK in a pool of threads, each with one BLAS thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from polyroots.errors import InputError

Task = TypeVar("Task")
Progress = Callable[[int, int], None]

# A chunk of matrices stays in the caches, keeps the memory independent of the number of frequencies, and is soon done
# when the user interrupts.
_CHUNK_BYTES = 2**22

# numpy's linear algebra keeps the interpreter's lock while matrices times rows are fewer than 500.
_LOCKED_BELOW = 512

# The number of BLAS threads belongs to the process: calls from several threads take turns, each with all cores;
# what a progress callback calls is within its caller's turn.
_BLAS_LIMIT = RLock()


def in_threads(
    function: Callable[[Task], object],
    tasks: Iterable[Task],
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Call a function, which spends its time in LAPACK, with every task.

    Parameters
    ----------
    function : callable
        Called once a task, from several threads, in no certain order.
    tasks : iterable
        The longest first, so that the threads end together.
    workers : int, optional
        Threads; by default one for each core that this process may use.
    on_progress : callable, optional
        Called in the caller's thread with (tasks done, tasks).

    Raises
    ------
    InputError
        If `workers` is below 1.
    KeyboardInterrupt
        As soon as the tasks that were running have ended; the others are not begun.
    """
    if workers is not None and workers < 1:
        raise InputError(f"expected at least 1 worker, got {workers}")
    with _BLAS_LIMIT, threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers or usable_cores()) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if on_progress:
                    on_progress(done, len(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def chunks(
    indices: NDArray[np.intp], block: tuple[int, int, int], workers: int | None = None
) -> list[NDArray[np.intp]]:
    """Split frequencies into tasks, several a worker.

    Parameters
    ----------
    indices : (F,) int
    block : (groups, rows, columns) of the matrices of a frequency
    workers : as for `in_threads`
    """
    groups, rows, columns = block
    fair = len(indices) // (8 * (workers or usable_cores()))
    # Smaller tasks would run one after the other.
    least = -(-_LOCKED_BELOW // (groups * min(rows, columns)))
    length = max(1, least, min(_CHUNK_BYTES // (16 * groups * rows * columns), fair))
    return [indices[start : start + length] for start in range(0, len(indices), length)]


def half_chunks(
    partner: NDArray[np.intp], block: tuple[int, int, int], workers: int | None = None
) -> list[NDArray[np.intp]]:
    """Split one frequency of each conjugate pair into tasks, the complex ones first: they take longer.

    Parameters
    ----------
    partner : (F,) int
        Position of each frequency's conjugate; self-conjugate ones are in tasks of their own.
    block, workers : as for `chunks`
    """
    index = np.arange(len(partner))
    return chunks(index[index < partner], block, workers) + chunks(index[index == partner], block, workers)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
