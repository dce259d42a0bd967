"""Letters, height and title of pictures for print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from matplotlib.font_manager import FontProperties, findfont

from polyroots.errors import InputError

# matplotlib's generic families, with formulas in the same letters.
_GENERIC = {"sans-serif": "dejavusans", "serif": "dejavuserif"}


class _Print(NamedTuple):
    """Settings of pictures, None for those of each picture."""

    height: float | None = None
    font: str | None = None
    points: float | None = None
    has_title: bool = True


_DEFAULT = _Print()
_CURRENT: ContextVar[_Print] = ContextVar("print", default=_DEFAULT)


@contextmanager
def printing(
    *, height: float | None = None, font: str | None = None, points: float | None = None, has_title: bool = True
) -> Iterator[None]:
    """Draw and save pictures with other letters, at another height, or without a title, as a journal asks for.

    Parameters
    ----------
    height : float, optional
        In inches.
    font : str, optional
        An installed family such as ``"Times New Roman"``, or ``"serif"`` or ``"sans-serif"``. Formulas are in the same
        letters.
    points : float, optional
        Size of the letters; 7.5 by default in pictures for print.
    has_title : bool
        Names of panels stay without a title.

    Raises
    ------
    InputError
        If no such font is installed.

    Examples
    --------
    >>> from polyroots.plotting import draw_spectrum
    >>> with printing(font="serif", has_title=False):
    ...     figure = draw_spectrum([1, 2], "a caption says this")
    >>> figure.axes[0].get_title()
    ''
    """
    if font is not None and font not in _GENERIC:
        try:
            findfont(FontProperties(family=font), fallback_to_default=False)
        except ValueError as error:
            raise InputError(f"expected an installed font, or serif or sans-serif, got {font!r}") from error
    token = _CURRENT.set(_Print(height, font, points, has_title))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def print_height(natural: float) -> float:
    """Return the height of a picture in inches: the one that was asked for, or the picture's own."""
    height = _CURRENT.get().height
    return natural if height is None else height


def has_own_height() -> bool:
    """Whether pictures have the height that was asked for, instead of one that their letters need."""
    return _CURRENT.get().height is not None


def titled(title: str) -> str:
    """Return a title, or an empty one where pictures have none."""
    return title if _CURRENT.get().has_title else ""


def letters(size: float) -> dict[str, Any]:
    """Return settings of matplotlib for letters, with a size of their own in points."""
    current = _CURRENT.get()
    settings: dict[str, Any] = {"font.size": current.points or size, "mathtext.fontset": "dejavusans"}
    font = current.font
    if font in _GENERIC:
        settings |= {"font.family": font, "mathtext.fontset": _GENERIC[font]}
    elif font is not None:
        names = {"rm": font, "sf": font, "it": f"{font}:italic", "bf": f"{font}:bold"}
        settings |= {"font.family": font, "mathtext.fontset": "custom", "mathtext.fallback": "stix"}
        settings |= {f"mathtext.{kind}": name for kind, name in names.items()}
    return settings
