"""The paper's figures and others, a module each: its `compute` returns the data, its `draw` the pictures."""

from polyroots_figures.make import FIGURES, WrittenFigure, impossible, make, redraw
from polyroots_figures.operators import require_level
from polyroots_figures.request import Request

__all__ = ["FIGURES", "Request", "WrittenFigure", "impossible", "make", "redraw", "require_level"]
