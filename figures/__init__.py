"""The paper's figures and those beyond, one file each: `compute` gets the data, `draw` turns them into pictures."""

from polyroots_figures.make import FIGURES, impossible, make, redraw
from polyroots_figures.request import Request

__all__ = ["FIGURES", "Request", "impossible", "make", "redraw"]
