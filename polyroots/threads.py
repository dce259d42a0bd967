"""A pool of threads for many small dense problems, with one BLAS thread each."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from polyroots.errors import InputError

Task = TypeVar("Task")
Progress = Callable[[int, int], None]

# Size of the matrices of a chunk: it fits into the caches, and a chunk ends soon after an interrupt.
_CHUNK_BYTES = 2**22

# numpy's linear algebra holds the interpreter's lock for stacks of fewer than about 500 matrices times rows.
_LOCKED_BELOW = 512

# The number of BLAS threads is a setting of the process: calls from several threads run one after the other. The lock
# is reentrant, so that a progress callback may use this module.
_BLAS_LIMIT = RLock()


def in_threads(
    function: Callable[[Task], object],
    tasks: Iterable[Task],
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Call a function with every task in a pool of threads; it should spend its time in LAPACK.

    Parameters
    ----------
    function : callable
        Called once for each task, from several threads, in any order.
    tasks : iterable
        With the longest first, the threads end at about the same time.
    workers : int, optional
        Threads; by default one for each core that this process may use.
    on_progress : callable, optional
        Called in the caller's thread with (tasks done, tasks).

    Raises
    ------
    InputError
        If `workers` is below 1.
    KeyboardInterrupt
        After the running tasks have ended; the others are dropped.
    """
    if workers is not None and workers < 1:
        raise InputError(f"expected at least 1 worker, got {workers}")
    with one_blas_thread(), ThreadPoolExecutor(workers or usable_cores()) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                if on_progress:
                    on_progress(done, len(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread: for many small problems more of them wait for each other most of the time.

    As a decorator it is for functions between whose small problems threads of our own work: those of BLAS keep their
    cores busy for 20 ms after each call, waiting for the next one.
    """
    with _BLAS_LIMIT, _libraries(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Return the loaded libraries that have threads.

    Finding them takes milliseconds, as much as a small problem itself. It is done again when the number of modules has
    changed, since an import may have loaded another BLAS.
    """
    return ThreadpoolController()


def chunks(
    indices: NDArray[np.intp], block: tuple[int, int, int], workers: int | None = None, multiple: int = 1
) -> list[NDArray[np.intp]]:
    """Return frequencies split into tasks, several for each worker.

    Parameters
    ----------
    indices : (F,) int
    block : (int, int, int)
        Groups, rows and columns of the matrices at a frequency.
    workers : int, optional
        As for `in_threads`.
    multiple : int
        The number of matrices in each task but the last is a multiple of it.

    Returns
    -------
    list of (n,) int arrays
    """
    groups, rows, columns = block
    fair = len(indices) // (8 * (workers or usable_cores()))
    # Smaller tasks would hold the interpreter's lock and run one after the other.
    least = -(-_LOCKED_BELOW // (groups * min(rows, columns)))
    length = max(1, least, min(_CHUNK_BYTES // (16 * groups * rows * columns), fair))
    multiple //= math.gcd(multiple, groups)
    length = -(-length // multiple) * multiple
    return [indices[start : start + length] for start in range(0, len(indices), length)]


def half_chunks(
    partner: NDArray[np.intp], block: tuple[int, int, int], workers: int | None = None, multiple: int = 1
) -> list[NDArray[np.intp]]:
    """Return one frequency of each conjugate pair split into tasks, those with complex matrices first.

    Parameters
    ----------
    partner : (F,) int
        Position of each frequency's conjugate; self-conjugate frequencies have separate tasks.
    block, workers, multiple
        As for `chunks`.

    Returns
    -------
    list of (n,) int arrays
    """
    index = np.arange(len(partner))
    pairs = chunks(index[index < partner], block, workers, multiple)
    return pairs + chunks(index[index == partner], block, workers)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
