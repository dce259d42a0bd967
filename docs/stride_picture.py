"""Make docs/pictures/stride.png: what the assumed stride 1 makes of a convolution that has stride 2.

python docs/stride_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from gallery import shrink
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import polyroots as pr
from polyroots.plotting import EIGENVALUE, REFERENCE, START, WIDTHS, save_figure, style

CHANNELS, SIZE = 32, (16, 16)


def main() -> None:
    """Draw a layer with the wrong and with the right stride."""
    torch.manual_seed(7)
    layer = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1, bias=False)
    K = layer.weight.detach()
    with style(WIDTHS["two"]):
        figure = Figure(figsize=(WIDTHS["two"], 3.1), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_eigenvalues(left, pr.eigenvalues(K, SIZE).values)
        draw_singular_values(right, K)
        with tempfile.TemporaryDirectory() as directory:
            (path,) = save_figure(figure, Path(directory) / "stride", ["png"])
            shrink(path)


def draw_eigenvalues(axes: Axes, values: np.ndarray) -> None:
    """Draw the eigenvalues of an operator that the network doesn't have."""
    axes.axhline(0, color=REFERENCE, linewidth=0.4)
    axes.axvline(0, color=REFERENCE, linewidth=0.4)
    axes.plot(values.real, values.imag, ".", color=START, markersize=1.5, rasterized=True)
    axes.set_aspect("equal")
    axes.set_title(f"wrong: as if its stride were 1, {len(values):,} eigenvalues")
    axes.set_xlabel(r"Re $\lambda$")
    axes.set_ylabel(r"Im $\lambda$")


def draw_singular_values(axes: Axes, K: torch.Tensor) -> None:
    """Draw the singular values for both strides."""
    lines = (
        (1, START, "wrong: stride 1", (0.38, 0.8), "#8a5f00"),
        (2, EIGENVALUE, "right: stride 2", (0.03, 0.06), None),
    )
    for stride, colour, what, place, ink in lines:
        sigma = pr.singular_values(K, SIZE, stride=stride)
        axes.plot(np.arange(1, len(sigma) + 1), sigma, color=colour)
        words = f"{what}\n{len(sigma):,} values, norm {sigma[0]:.3g}"
        axes.text(*place, words, transform=axes.transAxes, color=ink)
    axes.set_xlim(0)
    axes.set_ylim(0)
    axes.set_title("right: stride 2, no eigenvalues, but singular values")
    axes.set_xlabel("number, in descending order")
    axes.set_ylabel("singular value")


if __name__ == "__main__":
    main()
