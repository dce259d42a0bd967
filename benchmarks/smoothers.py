"""Minimax smoothers beside pyamg's Chebyshev smoother, in the same V-cycle and in the same run.

One hierarchy of smoothed aggregation a problem; only the smoothers differ. Both polynomials take as many products with
A a smoothing step. pyamg's damps [rho / 30, 1.1 rho] by default; it is also given the share of ours.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyamg
from numpy.typing import NDArray
from pyamg.gallery import diffusion_stencil_2d, poisson, stencil_grid
from pyamg.relaxation.smoothing import change_smoothers
from timing import in_turns, seconds_of, spread

import polyroots as pr
from polyroots.threads import usable_cores

ROOTS, SHARE, TOLERANCE, MOST_CYCLES = 3, 0.2, 1e-8, 100


def convection(n: int, diffusion: float = 1e-3) -> Any:
    """Return upwind differences of -diffusion Laplace u + u_x + u_y / 2 on n x n points."""
    K = diffusion * n * np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0.0]])
    K[1, 0], K[0, 1], K[1, 1] = K[1, 0] - 1, K[0, 1] - 0.5, K[1, 1] + 1.5
    return stencil_grid(K, (n, n), format="csr")


def helmholtz(n: int, k2: float = 0.5, shift: float = 1.0) -> Any:
    """Return the shifted Laplacian 4 - (1 - i shift) k^2, a complex symmetric matrix."""
    K = np.array([[0, -1, 0], [-1, 4 - k2 * (1 - 1j * shift), -1], [0, -1, 0]])
    return stencil_grid(K, (n, n), dtype=complex, format="csr")


def rotated(n: int, angle: float) -> Any:
    """Return anisotropic diffusion, 1 : 100, in finite elements."""
    return stencil_grid(diffusion_stencil_2d(epsilon=0.01, theta=angle, type="FE"), (n, n), format="csr")


#: Title, matrix, and options of the hierarchy.
PROBLEMS: dict[str, tuple[Callable[[int], Any], dict[str, Any]]] = {
    "Poisson": (lambda n: poisson((n, n), format="csr"), {}),
    "diffusion 1:100, along the grid": (lambda n: rotated(n, 0.0), {"strength": "evolution"}),
    "diffusion 1:100, 30 degrees": (lambda n: rotated(n, np.pi / 6), {"strength": "evolution"}),
    "convection, upwind": (convection, {"symmetry": "nonsymmetric"}),
    "shifted Helmholtz": (helmholtz, {"symmetry": "symmetric"}),
}


def cycles(levels: Any, b: NDArray[Any]) -> str:
    """Return the number of V-cycles to the tolerance as text."""
    residuals: list[float] = []
    levels.solve(b, tol=TOLERANCE, maxiter=MOST_CYCLES, residuals=residuals)
    converged = residuals[-1] <= 1.01 * TOLERANCE * np.linalg.norm(b)
    return f"{len(residuals) - 1}" if converged else "diverges" if residuals[-1] > residuals[0] else f"> {MOST_CYCLES}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    n, runs = arguments.size, arguments.runs
    print(
        f"{usable_cores()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
        f"pyamg {pyamg.__version__}, polyroots {pr.__version__}; {n}x{n} points, {ROOTS} products a step, "
        f"medians of {runs} runs (spread)"
    )
    print("| problem | smoother | cycles | setup s | solve s | ratio of solve |")
    print("| --- | --- | --- | --- | --- | --- |")
    for title, (matrix, options) in PROBLEMS.items():
        np.random.seed(1)  # noqa: NPY002 - pyamg's power iterations draw from it
        A = matrix(n)
        b = np.random.default_rng(1).standard_normal(n * n).astype(A.dtype)
        levels = pyamg.smoothed_aggregation_solver(A, max_coarse=50, **options)
        theirs = {"degree": ROOTS}, {"degree": ROOTS, "lower_bound": SHARE}
        setups: dict[str, Callable[[], object]] = {
            "pyamg chebyshev": lambda: change_smoothers(levels, *[("chebyshev", theirs[0])] * 2),  # noqa: B023
            f"pyamg chebyshev, lower_bound {SHARE}": lambda: change_smoothers(levels, *[("chebyshev", theirs[1])] * 2),  # noqa: B023
            "polyroots minimax": lambda: pr.change_smoothers(levels, ROOTS - 1, above=SHARE),  # noqa: B023
        }
        seconds, counts, chosen = {}, {}, {}
        for name, setup in setups.items():
            # The first call of pyamg computes the spectral radii, which are kept.
            setup()
            seconds[name] = seconds_of(setup, runs)
            counts[name] = cycles(levels, b)
            chosen[name] = [(level.presmoother, level.postsmoother) for level in levels.levels[:-1]]

        def solve(name: str) -> None:
            for level, (before, after) in zip(levels.levels[:-1], chosen[name], strict=True):  # noqa: B023
                level.presmoother, level.postsmoother = before, after
            levels.solve(b, tol=TOLERANCE, maxiter=MOST_CYCLES)  # noqa: B023

        times = in_turns({name: partial(solve, name) for name in setups}, runs)
        first = statistics.median(times["pyamg chebyshev"])
        for name in setups:
            is_solved = counts[name].isdigit() and counts["pyamg chebyshev"].isdigit()
            ratio = f"{first / statistics.median(times[name]):.1f}" if is_solved else "-"
            solved = spread(times[name]) if counts[name].isdigit() else "-"
            print(f"| {title} | {name} | {counts[name]} | {spread(seconds[name])} | {solved} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
