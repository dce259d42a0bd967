"""Checks of pictures: their texts and their layout."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def texts(figure: Figure) -> list[str]:
    """Return all texts of a picture."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def require_nothing_is_cut(figure: Figure) -> None:
    """Require that everything lies within the picture, and that titles and names of axes don't overlap."""
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert box.x0 >= -0.01, box
    assert box.y0 >= -0.01, box
    assert box.x1 <= width + 0.01, box
    assert box.y1 <= height + 0.01, box
    names = [
        (text.get_text(), text.get_window_extent())
        for axes in figure.findobj(Axes)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
        if axes.name != "3d" and text.get_text().strip() and text.get_visible()
    ]
    for index, (name, box) in enumerate(names):
        for other_name, other in names[:index]:
            assert not box.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9)), (name, other_name)
