"""The extents of the spectra of many layers in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, style

# Letters of a layer's name that leave room for the picture. A longer name is cut at its beginning, as its end
# distinguishes layers.
_LONGEST = 34


@dataclass(frozen=True)
class LayerExtent:
    """Extent of the spectrum of a layer, for `draw_overview`; None for unknown values, which are not drawn.

    Attributes
    ----------
    name : of the layer
    real : smallest and largest real part
    max_imag : largest imaginary part
    radius : spectral radius
    norm : spectral norm
    """

    name: str
    real: tuple[float, float] | None = None
    max_imag: float | None = None
    radius: float | None = None
    norm: float | None = None


def draw_overview(layers: Sequence[LayerExtent], title: str) -> Figure:
    """Return a picture with a line for each layer: interval of real parts, largest imaginary part, radius and norm."""
    with style():
        figure = Figure(figsize=(6.4, 0.21 * len(layers) + 1.5), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=REFERENCE, linewidth=0.4)
        reach = max((abs(x) for layer in layers for x in _numbers(layer)), default=1.0)
        if reach >= 0.5:
            axes.axvline(1, color=REFERENCE, linewidth=0.8, linestyle="--", label="1")
        labelled: set[str] = set()

        def label(text: str) -> str | None:
            if text in labelled:
                return None
            labelled.add(text)
            return text

        for y, layer in enumerate(layers):
            if layer.real is not None:
                axes.plot(layer.real, [y, y], "|-", color=EIGENVALUE, markersize=6, label=label("Re of eigenvalues"))
            for value, marker, text in (
                (layer.max_imag, "x", "largest Im"),
                (layer.radius, "o", "spectral radius"),
                (layer.norm, "D", "spectral norm"),
            ):
                if value is not None:
                    axes.plot(
                        value,
                        y,
                        marker,
                        color=ROOT if text == "spectral radius" else EIGENVALUE,
                        markersize=4.5,
                        markerfacecolor="none",
                        label=label(text),
                    )
        axes.set_yticks(range(len(layers)), [_short(layer.name) for layer in layers])
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.grid(axis="y", color=REFERENCE, alpha=0.15, linewidth=0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("value")
        axes.set_title(title.replace("$", r"\$"))
        figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.4)
    return figure


def _numbers(layer: LayerExtent) -> list[float]:
    """All values that are drawn."""
    return [*(layer.real or ()), *(x for x in (layer.max_imag, layer.radius, layer.norm) if x is not None)]


def _short(name: str) -> str:
    plain = name.removesuffix(".weight").replace("$", r"\$")
    return plain if len(plain) <= _LONGEST else f"...{plain[3 - _LONGEST :]}"
