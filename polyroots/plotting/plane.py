"""Eigenvalues in the complex plane."""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex128
from matplotlib.figure import Figure

from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, style


def draw_spectrum(values: Complex128[np.ndarray, "N"], title: str) -> Figure:
    """Draw eigenvalues in the plane, with those of extreme real and imaginary part marked and the unit circle.

    The unit circle is left out where the eigenvalues are so small, below 1/2, that it would decide the frame.

    Parameters
    ----------
    values : (N,) complex128
    title : str
    """
    reach = float(np.abs(values).max()) or 1.0
    rim = 1.0 if 0.5 <= reach <= 1 else 0.0
    low = min(values.real.min(), -rim, 0.0) - 0.07 * reach
    high = max(values.real.max(), rim, 0.0) + 0.07 * reach
    # Nor is a picture to be a column, for an imaginary spectrum.
    wider = max(0.0, values.imag.max() - 0.5 * (high - low))
    low, high = low - wider, high + wider
    # A quarter of the width keeps a real spectrum's picture from being a line.
    top = max(values.imag.max(), rim, 0.25 * (high - low)) + 0.07 * reach

    with style():
        width = 4.6
        figure = Figure(figsize=(width, (width - 0.7) * 2 * top / (high - low) + 1.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color=REFERENCE, linewidth=0.4)
        axes.axvline(0, color=REFERENCE, linewidth=0.4)
        # Many points overlap: their density shows where they are translucent.
        axes.plot(
            values.real,
            values.imag,
            ".",
            color=EIGENVALUE,
            alpha=float(np.clip(40 / np.sqrt(len(values)), 0.15, 0.9)),
            markersize=3,
            markeredgewidth=0,
            rasterized=True,
            label=f"{len(values):,} eigenvalues",
        )
        extremes = values[[values.real.argmin(), values.real.argmax()]]
        if values.imag.max() > 1e-9 * reach:
            extremes = np.append(extremes, values[values.imag.argmax()])
        extremes = np.concatenate([extremes, extremes.conj()])
        axes.plot(
            extremes.real,
            extremes.imag,
            "o",
            markerfacecolor="none",
            markeredgecolor=ROOT,
            markersize=7,
            label="extreme Re or Im",
        )
        if reach >= 0.5:
            circle = np.exp(1j * np.linspace(0, 2 * np.pi, 361))
            axes.plot(circle.real, circle.imag, "--", color=REFERENCE, linewidth=0.8, label="unit circle")
        axes.set_xlim(low, high)
        axes.set_ylim(-top, top)
        axes.set_aspect("equal")
        axes.set_xlabel("Re $\\lambda$")
        axes.set_ylabel("Im $\\lambda$")
        axes.set_title(title)
        legend = figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.4)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
    return figure
