"""polyroots beside what a user would take instead: the same work in the same run, with the versions of all.

Ways of one task are called in turns. Ratios are medians, over the turns, of the processor seconds of the other way over
ours: above 1 ours takes less. A peer that isn't installed is named as such. What each does, and where the work is not
quite the same, is in the table's last column.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import statistics
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timing import both_in_turns, spread

import polyroots as pr
from polyroots.polynomials import Target, arnoldi
from polyroots.polynomials.minimax import minimax as by_exchange
from polyroots.spectra import Convolution, largest_singular_values

PEERS = ("orthogonium", "weightwatcher", "pyamg", "cvxpy", "clarabel", "torch", "torchvision", "scipy", "numpy")
LAYERS = ((64, 32), (256, 8))


@dataclass(frozen=True)
class Way:
    """A way to do a task.

    Attributes
    ----------
    name : of the program or method
    call : does it, and returns the number that is compared
    remark : on what it does
    """

    name: str
    call: Callable[[], float]
    remark: str = ""


def compare(task: str, ways: Sequence[Way], runs: int) -> None:
    """Print a row for each way; the last is ours."""
    results: dict[str, float] = {}

    def kept(way: Way) -> None:
        results[way.name] = way.call()

    times = both_in_turns({way.name: partial(kept, way) for way in ways}, runs)
    ours = ways[-1].name
    for way in ways:
        wall, cpu = ([pair[i] for pair in times[way.name]] for i in (0, 1))
        ratios = [a[1] / b[1] for a, b in zip(times[way.name], times[ours], strict=True)]
        ratio = "" if way.name == ours else f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        unit = 1.0 if statistics.median(cpu) > 0.1 else 1e3
        shown = [spread([unit * seconds for seconds in column]) for column in (wall, cpu)]
        name = "s" if unit == 1 else "ms"
        print(
            f"| {task} | {way.name} | {shown[0]} {name} | {shown[1]} {name} | {ratio} | {results[way.name]:.8g} "
            f"| {way.remark} |",
            flush=True,
        )


def missing(task: str, name: str) -> None:
    print(f"| {task} | {name} | | | | | not installed |", flush=True)


def installed(name: str) -> bool:
    """Return whether a peer can be imported."""
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def kernel(c: int, k: int = 3) -> NDArray[np.float64]:
    return np.random.default_rng(20261129).uniform(-1, 1, (c, c, k, k)) / np.sqrt(k * k * c)


def by_fft(K: NDArray[np.float64], n: int) -> float:
    """Return the largest of all singular values, as the code of Sedghi, Gupta and Long computes them."""
    transforms = np.fft.fft2(K.transpose(2, 3, 0, 1), (n, n), axes=(0, 1))
    return float(np.linalg.svd(transforms, compute_uv=False).max())


def by_lfa(K: torch.Tensor, n: int) -> float:
    """Return the largest of all singular values, from the symbol summed tap by tap at each frequency."""
    k = K.shape[-1]
    theta = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    modes = torch.exp(1j * theta[:, None] * (torch.arange(k) - k // 2))
    symbols = torch.einsum("ya,xb,oiab->yxoi", modes, modes, K.to(torch.complex128))
    return float(torch.linalg.svdvals(symbols.reshape(n * n, *K.shape[:2])).max())


def singular_values(runs: int) -> None:
    for c, n in LAYERS:
        K = kernel(c)
        ways = [
            Way("plain FFT", partial(by_fft, K, n), "numpy's FFT and SVD on the whole grid (Sedghi, Gupta, Long 2019)"),
            Way("LFA", partial(by_lfa, torch.from_numpy(K), n), "the method of van Betteray, Rottmann, Kahl in torch"),
            Way("polyroots", lambda: float(pr.singular_values(K, n)[0]), "half of the frequencies"),  # noqa: B023
        ]
        compare(f"all singular values, {c} channels at {n}x{n}", ways, runs)


def power_iteration(K: torch.Tensor, n: int, steps: int) -> float:
    """Return the norm of A as power iteration on A^T A finds it, with torch's convolutions of circular padding."""
    pad = (K.shape[-1] - 1) // 2
    adjoint = K.flip(2, 3).transpose(0, 1).contiguous()
    u = torch.nn.functional.normalize(
        torch.randn(1, K.shape[1], n, n, dtype=K.dtype, generator=torch.Generator().manual_seed(1)), dim=None
    )
    norm = 0.0

    def applied(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (pad,) * 4, mode="circular"), weight)

    for _ in range(steps):
        v = applied(K, u)
        norm = float(v.norm())
        u = applied(adjoint, v)
        u /= u.norm()
    return norm


def norms(runs: int) -> None:
    for c, n in LAYERS:
        task, K = f"spectral norm, {c} channels at {n}x{n}", kernel(c)
        weight = torch.from_numpy(K)
        exact = by_fft(K, n)
        layer = torch.nn.Conv2d(c, c, 3, padding=1, padding_mode="circular", bias=False)
        layer.weight.data.copy_(weight)

        def error(value: float, exact: float = exact) -> str:
            return f"relative error {abs(value - exact) / exact:.0e}"

        ways = [
            Way(
                f"power iteration, {steps} steps",
                partial(power_iteration, weight, n, steps),
                f"float64, on the operator; {error(power_iteration(weight, n, steps))}",
            )
            for steps in (20, 200)
        ]
        torch_norm = float(torch.linalg.matrix_norm(weight.flatten(1), 2))
        ways.append(
            Way(
                "torch spectral_norm",
                partial(_of_parametrisation, weight),
                f"of the kernel as a c x 9c matrix, another number: {torch_norm:.4g} for {exact:.4g}",
            )
        )
        if installed("orthogonium"):
            get = import_module("orthogonium.layers.conv.singular_values").get_conv_sv
            gram = partial(get, layer, n_iter=6, return_stab_rank=False, imsize=n)
            ways.append(Way("orthogonium", lambda: float(gram()), f"float32, 6 Gram steps; {error(float(gram()))}"))  # noqa: B023
        else:
            missing(task, "orthogonium")
        A = Convolution.of(K, n)
        ways.append(
            Way(
                "polyroots, largest",
                lambda: float(largest_singular_values(A, 1).values[0]),  # noqa: B023
                f"Lanczos, float64; {error(float(largest_singular_values(A, 1).values[0]))}",
            )
        )
        ways.append(Way("polyroots, all", lambda: float(pr.singular_values(K, n)[0]), "exact to rounding, float64"))  # noqa: B023
        compare(task, ways, runs)


def _of_parametrisation(weight: torch.Tensor) -> float:
    """Return the norm that torch's parametrisation takes, after its 15 first steps and one more."""
    conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], 3, bias=False).double()
    conv.weight.data.copy_(weight)
    torch.nn.utils.parametrizations.spectral_norm(conv)
    with torch.no_grad():
        return float(weight.norm() / conv.weight.norm())


def whole_network(runs: int) -> None:
    """Compare WeightWatcher's analysis of a ResNet-18 with ours."""
    task = "a ResNet-18, 32x32 images"
    torch.manual_seed(3)
    model = import_module("torchvision").models.resnet18().eval()
    ways = []
    if installed("weightwatcher"):
        import_module("logging").disable(50)

        def watch() -> float:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                details = import_module("weightwatcher").WeightWatcher(model=model).analyze()
            return float(len(details))

        ways.append(Way("WeightWatcher analyze", watch, "layers; eigenvalues of W^T W, W without geometry, power laws"))
    else:
        missing(task, "WeightWatcher")

    def singular() -> float:
        return float(len(pr.model_spectra(model, 32, kind="singular")))

    def both() -> float:
        return float(len(pr.model_spectra(model, 32, kind="both")))

    ways.append(Way("polyroots, with eigenvalues", both, "layers; as below, and eigenvalues of square ones"))
    ways.append(Way("polyroots", singular, "convolutions; all singular values of each on its grid"))
    compare(task, ways, min(runs, 2))


def chebyshev(runs: int) -> None:
    """Compare the polynomials of pyamg's Chebyshev smoother with ours, on the Laplacian's upper 80 %."""
    n = 48
    line = 2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))
    values = (line[:, None] + line).ravel()
    values = values[values >= 0.2 * values.max()]
    low, high, degree = float(values.min()), float(values.max()), 3
    task = f"roots for {len(values):,} eigenvalues, {degree} products: max abs q"
    ways = []
    if installed("pyamg"):
        of_interval = import_module("pyamg.relaxation.chebyshev").chebyshev_polynomial_coefficients

        def theirs() -> float:
            return float(np.abs(np.polyval(of_interval(low, high, degree), values)).max())

        ways.append(Way("pyamg Chebyshev", theirs, "a formula, for the interval that it is given"))
    else:
        missing(task, "pyamg")

    def ours(strategy: str) -> float:
        q = pr.ResidualPolynomial(pr.select_roots(values, degree=degree - 1, strategy=strategy))
        return float(np.abs(q(values)).max())

    ways.append(Way("polyroots chebyshev", partial(ours, "chebyshev"), "finds the interval and checks it"))
    ways.append(Way("polyroots minimax", partial(ours, "minimax"), "a program for these eigenvalues, with a bound"))
    compare(task, ways, runs)


def minimax(runs: int) -> None:
    for c, n in ((16, 16), (16, 32)):
        K = np.random.default_rng(20261122).standard_normal((c, c, 3, 3)) / (6 * np.sqrt(c))
        K[range(c), range(c), 1, 1] += 1.5
        points, count = Target.of(pr.eigenvalues(K, n)), 8
        task = f"minimax, {points.count:,} eigenvalues, {count} roots"
        ways = []
        if installed("cvxpy"):
            ways.append(Way("cvxpy with Clarabel", partial(by_cvxpy, points, count), "one program with all points"))
        else:
            missing(task, "cvxpy")
        ways.append(Way("polyroots", lambda: float(by_exchange(points, count).value), "exchange of points"))  # noqa: B023
        compare(task, ways, runs)


def by_cvxpy(points: Target, count: int) -> float:
    """Return the smallest max |q|, as a user of cvxpy would state it, in a basis that is well conditioned."""
    cvxpy = import_module("cvxpy")
    shares = np.sqrt(points.weights)
    krylov = arnoldi(lambda x: points.points * x, shares.astype(complex), count)
    Q, _ = np.linalg.qr(krylov.H)
    Phi = krylov.V @ Q / shares[:, None]
    c, t = cvxpy.Variable(count), cvxpy.Variable()
    problem = cvxpy.Problem(cvxpy.Minimize(t), [cvxpy.abs(1 - Phi @ c) <= t])
    problem.solve(solver=cvxpy.CLARABEL)
    return float(problem.value)


def smoother(runs: int) -> None:
    """Compare pyamg's V-cycle with its Chebyshev smoother and with ours, to a residual of 1e-8."""
    task = "Poisson 128x128 by pyamg's cycle: cycles"
    if not installed("pyamg"):
        missing(task, "pyamg")
        return
    pyamg = import_module("pyamg")
    change = import_module("pyamg.relaxation.smoothing").change_smoothers
    n = 128
    np.random.seed(1)  # noqa: NPY002 - pyamg's power iterations draw from it
    A = pyamg.gallery.poisson((n, n), format="csr")
    b = np.random.default_rng(1).standard_normal(n * n)
    setups: dict[str, Callable[[Any], object]] = {
        "pyamg Chebyshev": lambda levels: change(levels, *[("chebyshev", {"degree": 3})] * 2),
        "pyamg Chebyshev, lower_bound 0.2": lambda levels: change(
            levels, *[("chebyshev", {"degree": 3, "lower_bound": 0.2})] * 2
        ),
        "polyroots minimax": lambda levels: pr.change_smoothers(levels, 2),
    }
    ways = []
    for name, setup in setups.items():
        levels = pyamg.smoothed_aggregation_solver(A, max_coarse=50)
        setup(levels)

        def solve(levels: Any = levels) -> float:
            residuals: list[float] = []
            levels.solve(b, tol=1e-8, maxiter=100, residuals=residuals)
            return float(len(residuals) - 1)

        ways.append(Way(name, solve, "three products with A a step; setup not counted"))
    compare(task, ways, runs)


def training(runs: int) -> None:
    """Print images per second of the whole loop beside a plain one, as benchmarks/training.py measures them."""
    measure = import_module("training").measure
    variant = import_module("training").Variant
    options = Namespace(device="cpu", steps=2, plain_steps=2, batch=64, scale=0.5, runs=runs)
    print(
        "\n| network | way | images/s | to plain | GPU busy | a step of ours |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name in ("q2", "resnet18"):
        print(*measure(name, options, [variant()]), sep="\n", flush=True)


PARTS = {
    "singular": singular_values,
    "norms": norms,
    "minimax": minimax,
    "chebyshev": chebyshev,
    "smoother": smoother,
    "network": whole_network,
    "training": training,
}


def version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} not installed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the comparison")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, polyroots {pr.__version__},"
    )
    print(f"{', '.join(version(name) for name in PEERS)};")
    print(f"medians of {options.runs} runs in turns, spread (max - min) in brackets; load {os.getloadavg()[0]:.1f}\n")
    print("| task | way | s | CPU s | to ours, CPU | result | remark |\n" + "| --- " * 7 + "|", flush=True)
    for part in options.only:
        PARTS[part](options.runs)


if __name__ == "__main__":
    main()
