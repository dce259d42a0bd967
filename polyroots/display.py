"""How objects show themselves: as text and tables, and as pictures, whose libraries are imported when one is drawn."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


class Shown(ABC):
    """An object that ``print`` and notebooks show as tables and sentences."""

    @abstractmethod
    def parts(self) -> list[str | Table]:
        """Return the tables and sentences, from top to bottom."""

    def __str__(self) -> str:
        from polyroots.tables import as_text

        return as_text(*self.parts())

    def _repr_html_(self) -> str:
        from polyroots.tables import as_html

        return as_html(*self.parts())


def plotting() -> Any:
    """Return `polyroots.plotting`, by its name: it stands above the objects that it draws."""
    return import_module("polyroots.plotting")


def png_of(figure: Any, dpi: int = 100) -> bytes:
    """Return a matplotlib figure as the content of a PNG file, for a notebook."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()
