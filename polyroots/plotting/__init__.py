"""Pictures of spectra and residual polynomials, drawn by matplotlib."""

from polyroots.plotting.contours import bounds_between, draw_bands, draw_contours
from polyroots.plotting.convex_hull import fill, hull
from polyroots.plotting.decay import draw_singular_values
from polyroots.plotting.flow import SpectrumAtEpoch, draw_flow
from polyroots.plotting.labels import End, label_ends, spread
from polyroots.plotting.magnitude import band_colours, exponent_colours, magnitude_colours, sampled
from polyroots.plotting.overview import LayerExtent, draw_overview
from polyroots.plotting.plane import draw_spectrum, frame
from polyroots.plotting.printing import print_height, printing, titled
from polyroots.plotting.real_axis import Curve, draw_curves, draw_real
from polyroots.plotting.room import extent, fit_aspect, heighten, legend_below, lines_of, literal, wrapped
from polyroots.plotting.style import (
    COLOUR_MAP,
    COLOURS,
    EIGENVALUE,
    REFERENCE,
    ROOT,
    START,
    STRATEGY_LINES,
    WIDTHS,
    magnified,
    new_axes,
    new_figure,
    save_figure,
    style,
)
from polyroots.plotting.surface import FAR_BELOW, draw_surface

__all__ = [
    "COLOURS",
    "COLOUR_MAP",
    "EIGENVALUE",
    "FAR_BELOW",
    "REFERENCE",
    "ROOT",
    "START",
    "STRATEGY_LINES",
    "WIDTHS",
    "Curve",
    "End",
    "LayerExtent",
    "SpectrumAtEpoch",
    "band_colours",
    "bounds_between",
    "draw_bands",
    "draw_contours",
    "draw_curves",
    "draw_flow",
    "draw_overview",
    "draw_real",
    "draw_singular_values",
    "draw_spectrum",
    "draw_surface",
    "exponent_colours",
    "extent",
    "fill",
    "fit_aspect",
    "frame",
    "heighten",
    "hull",
    "label_ends",
    "legend_below",
    "lines_of",
    "literal",
    "magnified",
    "magnitude_colours",
    "new_axes",
    "new_figure",
    "print_height",
    "printing",
    "sampled",
    "save_figure",
    "spread",
    "style",
    "titled",
    "wrapped",
]
