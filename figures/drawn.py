"""What a figure's function returns."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Drawn(NamedTuple):
    """The files that were written, and what is to be said of the polynomials in them, a sentence each."""

    paths: list[Path]
    words: list[str]
