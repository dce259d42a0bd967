"""The extents of the spectra of many layers in one picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polyroots.plotting.plane import add_legend
from polyroots.plotting.printing import titled
from polyroots.plotting.room import heighten, literal
from polyroots.plotting.style import EIGENVALUE, REFERENCE, ROOT, canvas

# Letters of a layer's name that leave room for the picture. A longer name is cut at its beginning, as its end
# distinguishes layers.
_LONGEST = 34
# Height of a layer's line, in heights of letters.
_LINE = 1.7


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

    @classmethod
    def of(cls, name: str, result: Any) -> LayerExtent:
        """Return the extent of a `polyroots.analysis.LayerResult`."""
        ends, singular = result.ends, result.singular
        norm = None if singular is None else singular.norm
        if ends is None:
            return cls(name, norm=norm)
        return cls(name, (ends.min_real, ends.max_real), ends.max_imag, ends.radius, norm)


def draw_overview(
    layers: Sequence[LayerExtent] | Mapping[str, Any], title: str = "", *, ax: Axes | None = None
) -> Figure:
    """Return a picture with a line for each layer: interval of real parts, largest imaginary part, radius and norm.

    Parameters
    ----------
    layers : ModelSpectra, or another mapping of names to `polyroots.analysis.LayerResult`, or sequence of LayerExtent
    title : str
    ax : matplotlib.axes.Axes, optional
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if isinstance(layers, Mapping):
        layers = [LayerExtent.of(name, result) for name, result in layers.items()]
    with canvas(ax, (6.4, 1.5)) as (figure, axes):
        axes.axvline(0, color=REFERENCE, linewidth=0.4)
        reach = max((abs(x) for layer in layers for x in _numbers(layer)), default=1.0)
        if reach >= 0.5:
            axes.axvline(1, color=REFERENCE, linewidth=0.8, linestyle="--")
        labels: set[str] = set()
        for y, layer in enumerate(layers):
            labels.update(_draw_layer(axes, y, layer, labels))
        axes.set_yticks(range(len(layers)), [_short(layer.name) for layer in layers])
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.grid(axis="y", color=REFERENCE, alpha=0.15, linewidth=0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(_drawn(labels))
        if titled(title):
            axes.set_title(literal(title))
        if labels:
            add_legend(figure if ax is None else axes, 3)
        heighten(figure, [axes] if ax is None else [], _LINE * len(layers) * mpl.rcParams["font.size"] / 72)
    return figure


def _draw_layer(axes: Axes, y: int, layer: LayerExtent, known: Collection[str]) -> list[str]:
    """Draw the line of a layer and return the labels of what it shows; known ones are in the legend."""
    shown = []
    if layer.real is not None:
        text = "Re of eigenvalues"
        label = None if text in known else text
        axes.plot(layer.real, [y, y], "|-", color=EIGENVALUE, markersize=6, label=label)
        shown.append(text)
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
                label=None if text in known else text,
            )
            shown.append(text)
    return shown


def _numbers(layer: LayerExtent) -> list[float]:
    """All values that are drawn."""
    return [*(layer.real or ()), *(x for x in (layer.max_imag, layer.radius, layer.norm) if x is not None)]


def _drawn(labels: Collection[str]) -> str:
    """Name what is drawn, of the labels in the legend."""
    names = [name for name in ("eigenvalues", "spectral radius", "spectral norm") if any(name in x for x in labels)]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _short(name: str) -> str:
    plain = literal(name.removesuffix(".weight"))
    return plain if len(plain) <= _LONGEST else f"...{plain[3 - _LONGEST :]}"
