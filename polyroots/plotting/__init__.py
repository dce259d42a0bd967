"""Pictures of spectra and polynomials, from arrays."""

from polyroots.plotting.contours import draw_contours
from polyroots.plotting.decay import draw_singular_values
from polyroots.plotting.flow import Moment, draw_flow
from polyroots.plotting.overview import Row, draw_overview
from polyroots.plotting.plane import draw_spectrum
from polyroots.plotting.style import save_figure
from polyroots.plotting.surface import draw_surface

__all__ = [
    "Moment",
    "Row",
    "draw_contours",
    "draw_flow",
    "draw_overview",
    "draw_singular_values",
    "draw_spectrum",
    "draw_surface",
    "save_figure",
]
