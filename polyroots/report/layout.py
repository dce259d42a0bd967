"""Settings that all plots of a report share."""

from __future__ import annotations

from typing import Any

#: A surface of |q| that reaches this value is not drawn: single precision, in which plots are stored, ends at 3e38.
HIGHEST_SURFACE = 1e30

LAYOUT: dict[str, Any] = {
    "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1c1c1c"},
    "margin": {"l": 56, "r": 16, "t": 16, "b": 88},
    # At the lower end of the plot, below the names of its axes, however high it is.
    "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    "hoverlabel": {"font": {"size": 13}},
    "dragmode": "pan",
}
