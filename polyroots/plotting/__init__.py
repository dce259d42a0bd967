"""Pictures of spectra and polynomials, from arrays."""

from polyroots.plotting.plane import draw_spectrum
from polyroots.plotting.style import save_figure
from polyroots.plotting.surface import draw_surface

__all__ = ["draw_spectrum", "draw_surface", "save_figure"]
