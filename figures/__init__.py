"""The paper's figures, one file each."""

from __future__ import annotations

from . import figure3

#: Every figure by the name that ``polyroots figures --only`` knows it by.
FIGURES = {"3": figure3.draw}

__all__ = ["FIGURES", "figure3"]
