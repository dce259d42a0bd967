"""Make the pictures of docs/concepts.md: docs/pictures/concept-*.png.

python docs/concept_pictures.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gallery import shrink
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits

import polyroots as pr
from polyroots.plotting import (
    COLOURS,
    EIGENVALUE,
    REFERENCE,
    START,
    STRATEGY_LINES,
    draw_contours,
    save_figure,
    style,
)

LAPLACIAN = np.array([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
WIDTH = 6.0


def main() -> None:
    """Draw each concept."""
    pictures: dict[str, Callable[[Figure], None]] = {
        "operator": draw_operator,
        "symbol": draw_symbol,
        "spectrum": draw_spectra,
        "polynomial": draw_polynomial,
        "roots": draw_roots,
        "relaxation": draw_relaxation,
        "batch-norm": draw_batch_norm,
    }
    for name, draw in pictures.items():
        with style(WIDTH), tempfile.TemporaryDirectory() as directory:
            figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
            draw(figure)
            (path,) = save_figure(figure, Path(directory) / f"concept-{name}", ["png"])
            shrink(path)


def spectra() -> tuple[pr.Spectrum, pr.Spectrum]:
    """Return the spectra of a fresh convolution and of one around the identity."""
    torch.manual_seed(7)
    fresh = torch.nn.Conv2d(32, 32, 3, padding=1, bias=False)
    shifted = pr.models.ConvOperator(32, init="shifted")
    return pr.eigenvalues(fresh.weight, 16), pr.eigenvalues(shifted.weight, 16)


def draw_operator(figure: Figure) -> None:
    """Draw u, the taps of A, and A u."""
    u = load_digits().images[3]
    A = pr.as_operator(LAPLACIAN, 8)
    conv = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    conv.weight.data = torch.from_numpy(A.weight).float()
    product = conv(torch.from_numpy(u[None, None]).float())[0, 0].detach().numpy()
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 3, 4))
    for axes, image, limits, title in (
        (left, u, (0, 16), "image $u$"),
        (middle, LAPLACIAN, (-4, 4), "taps of $A$"),
        (right, product, (-abs(product).max(), abs(product).max()), "$A u$"),
    ):
        axes.imshow(image, cmap="gray_r" if axes is left else "RdBu_r", vmin=limits[0], vmax=limits[1])
        axes.set(title=title, xticks=[], yticks=[])
    for (y, x), value in np.ndenumerate(LAPLACIAN):
        middle.text(x, y, f"{value:g}", ha="center", va="center", color="white" if value == 4 else "black")


def draw_symbol(figure: Figure) -> None:
    """Draw the symbol of the Laplacian over the frequencies."""
    theta = np.linspace(-np.pi, np.pi, 201)
    values = 4 - 2 * np.cos(theta)[:, None] - 2 * np.cos(theta)
    axes, beside = figure.subplots(1, 2)
    mesh = axes.pcolormesh(theta, theta, values, cmap="cividis", rasterized=True)
    axes.contour(theta, theta, values, levels=[1, 2, 4, 6], colors=REFERENCE, linewidths=0.6)
    axes.add_patch(Rectangle((-np.pi / 2, -np.pi / 2), np.pi, np.pi, fill=False, color="black", linewidth=1.2))
    axes.text(0, 0, "low", ha="center", va="center", color="white")
    axes.text(0, 2.35, "high frequencies", ha="center", va="center")
    ticks = (-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi)
    names = (r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$")
    axes.set(aspect="equal", xlabel=r"$\theta_x$", ylabel=r"$\theta_y$")
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    figure.colorbar(mesh, ax=axes, label=r"$\hat A(\theta)$")
    beside.axvspan(np.pi / 2, np.pi, color=REFERENCE, alpha=0.15, linewidth=0)
    for index, (kind, factor) in enumerate((("along an axis", 1), ("along the diagonal", 2))):
        beside.plot(theta, factor * (2 - 2 * np.cos(theta)), color=COLOURS[index], label=kind)
    beside.set(xlim=(0, np.pi), ylim=(0, 8.1), xlabel=r"$\theta_x$", title="grey: high frequencies")
    beside.set_xticks(ticks[2:], names[2:])
    beside.legend(loc="upper left")


def draw_spectra(figure: Figure) -> None:
    """Draw a spectrum around 0 and one around 1."""
    axes = figure.subplots()
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.axvline(0, color=REFERENCE, linewidth=0.4)
    for spectrum, colour, name, x in zip(
        spectra(), (START, EIGENVALUE), ("as torch draws it", "shifted"), (0, 1), strict=True
    ):
        values = spectrum.values
        axes.plot(values.real, values.imag, ".", color=colour, markersize=1, rasterized=True)
        axes.text(x, 0.75, name, ha="center")
    axes.set(aspect="equal", xlabel=r"Re $\lambda$", ylabel=r"Im $\lambda$", xlim=(-0.9, 1.6), ylim=(-0.75, 0.9))


def draw_polynomial(figure: Figure) -> None:
    """Draw |q| for the spectrum around 1."""
    spectrum = spectra()[1]
    q = pr.ResidualPolynomial(pr.select_roots(spectrum, degree=3, strategy="minimax"))
    draw_contours(spectrum, q, ax=figure.subplots())


def draw_roots(figure: Figure) -> None:
    """Draw q of three strategies along the Laplacian's eigenvalues."""
    spectrum = pr.eigenvalues(LAPLACIAN, 32)
    axes = figure.subplots()
    t = np.linspace(0, 8, 400)
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    for strategy in ("minimax", "harmonic-ritz", "largest"):
        q = pr.ResidualPolynomial(pr.select_roots(spectrum, degree=3, strategy=strategy))
        colour, line = STRATEGY_LINES[strategy]
        axes.plot(t, q(t), color=colour, linestyle=line, label=strategy)
        axes.plot(q.roots.real, np.zeros(4), "o", color=colour, markersize=4)
    values = np.unique(spectrum.values.real.round(9))
    axes.plot(values, np.full(len(values), -0.93), "|", color=EIGENVALUE, markersize=5)
    axes.set(xlabel=r"$\lambda$, with the eigenvalues below", ylabel="$q(\\lambda)$", ylim=(-1, 1.05), xlim=(-0.1, 8.1))
    axes.legend(loc="upper right", bbox_to_anchor=(0.93, 1))


def draw_relaxation(figure: Figure) -> None:
    """Draw the range of |q| on a disc around 0 against the weight."""
    spectrum = spectra()[0]
    q = pr.ResidualPolynomial(pr.select_roots(spectrum, degree=3))
    weights = np.linspace(0.02, 1, 60)
    sizes = np.array([np.percentile(abs(q.relaxed(w)(spectrum.values)), (0, 50, 100)) for w in weights])
    axes = figure.subplots()
    axes.axhline(1, color=REFERENCE, linewidth=0.6)
    for index, name in ((2, "largest"), (1, "median"), (0, "smallest")):
        axes.plot(weights, sizes[:, index], color=COLOURS[index], label=f"{name} $|q_w|$")
    axes.set(xlabel="weight $w$", ylabel="on the spectrum", xlim=(0, 1), ylim=(0, None))
    axes.legend(loc="upper left")


def draw_batch_norm(figure: Figure) -> None:
    """Draw how a level's output changes with a factor of its coefficients, with and without batch norm after them."""
    factors = np.geomspace(0.1, 10, 21)
    axes = figure.subplots()
    for placement, colour in (("regular", COLOURS[0]), ("smoother", COLOURS[1])):
        torch.manual_seed(7)
        x = torch.randn(8, 16, 8, 8)
        level = pr.models.Level(16, roots=[0.7, 1.3], blocks="L,L", placement=placement, A_init="shifted")
        alphas = [block.alphas.detach().clone() for block in level.blocks]
        outputs = []
        for factor in factors:
            for block, its in zip(level.blocks, alphas, strict=True):
                block.alphas.data = its * factor
            outputs.append(level(None, x, carry_residual=False)[0].detach())
        unchanged = outputs[len(factors) // 2]
        change = [float((output - unchanged).norm() / unchanged.norm()) for output in outputs]
        name = {"regular": "update ends in batch norm", "smoother": "nothing is cancelled"}[placement]
        axes.semilogx(factors, change, color=colour, label=name)
    axes.set(xlabel="factor of all coefficients", ylabel="relative change of the features", ylim=(-0.06, None))
    axes.legend(loc="upper center")


if __name__ == "__main__":
    main()
