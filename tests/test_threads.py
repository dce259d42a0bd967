from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from dense import matched_error
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

import polyroots as pr
from polyroots.spectra import eigenvalues_of
from polyroots.threads import one_blas_thread
from polyroots_cli.start import _spin_briefly


def blas_threads() -> set[int]:
    """Number of threads of each BLAS that is loaded."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_number_of_threads_changes_nothing(rng: np.random.Generator) -> None:
    K = rng.standard_normal((16, 16, 3, 3))
    one, three = (pr.eigenvalues(K, (9, 10), workers=workers) for workers in (1, 3))
    assert matched_error(one.values, three.values) < 1e-12


def test_calls_from_several_threads_leave_the_blas_as_it_was(rng: np.random.Generator) -> None:
    K = rng.standard_normal((8, 8, 3, 3))
    expected = pr.eigenvalues(K, 6).values
    with threadpool_limits(2, "blas"), ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: pr.eigenvalues(K, 6), range(16)):
            assert matched_error(result.values, expected) < 1e-12
        assert blas_threads() == {2}


def test_progress_reaches_the_end(rng: np.random.Generator) -> None:
    seen: list[Any] = []
    A = pr.Convolution.of(rng.standard_normal((8, 8, 3, 3)), 24)
    eigenvalues_of(A, on_progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][0] == seen[-1][1] > 1


def test_progress_may_call_the_library(rng: np.random.Generator) -> None:
    K = rng.standard_normal((4, 4, 3, 3))
    inner = []
    eigenvalues_of(pr.Convolution.of(K, 12), on_progress=lambda done, total: inner.append(pr.eigenvalues(K, 3)))
    assert matched_error(inner[-1].values, pr.eigenvalues(K, 3).values) < 1e-12


def test_lapack_runs_with_one_blas_thread(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    seen: list[Any] = []

    def solver(stack: NDArray[Any]) -> NDArray[Any]:
        seen.extend(blas_threads())
        return np.linalg.eigvals(stack)

    monkeypatch.setattr("polyroots.spectra.spectrum.eigvals", solver)
    with threadpool_limits(2, "blas"):
        pr.eigenvalues(rng.standard_normal((8, 8, 3, 3)), 12)
    assert set(seen) == {1}


def test_libraries_are_found_again_after_an_import_only(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = import_module("polyroots.threads")
    found = []
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: found.append(1) or ThreadpoolController())
    for module in ("tests_one", "tests_two"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        with threadpool_limits(2, "blas"):
            for _ in range(3):
                with one_blas_thread():
                    assert blas_threads() == {1}
            assert blas_threads() == {2}
    assert len(found) == 2


@pytest.mark.parametrize("given", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}])
def test_waiting_threads_spin_briefly_unless_the_user_says_otherwise(given: dict[str, str]) -> None:
    environment = dict(given)
    _spin_briefly(environment)
    assert environment == (given or {"GOMP_SPINCOUNT": "10000"})


def test_an_interrupt_ends_the_threads_soon(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """After an interrupt, tasks that have not begun are dropped, and the next call works."""
    begun = []

    def solver(stack: NDArray[Any]) -> NDArray[Any]:
        begun.append(len(stack))
        return np.linalg.eigvals(stack)

    monkeypatch.setattr("polyroots.spectra.spectrum.eigvals", solver)
    K = rng.standard_normal((32, 32, 3, 3))

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    # torch.compile keeps a pool of threads of its own for the rest of the process.
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        eigenvalues_of(pr.Convolution.of(K, 64), workers=2, on_progress=interrupt)
    assert sum(begun) < 64 * 33 // 2
    assert set(threading.enumerate()) <= before
    assert len(pr.eigenvalues(K, 4)) == 512


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_weights_on_a_gpu(rng: np.random.Generator) -> None:
    K = torch.from_numpy(rng.standard_normal((4, 4, 3, 3)))
    assert matched_error(pr.eigenvalues(K.cuda(), 6).values, pr.eigenvalues(K, 6).values) < 1e-11
