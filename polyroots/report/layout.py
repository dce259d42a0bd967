"""Settings that all plots of a report share."""

from __future__ import annotations

from typing import Any

#: A surface of |q| that reaches this value is not drawn: single precision, in which plots are stored, ends at 3e38.
HIGHEST_SURFACE = 1e30

LAYOUT: dict[str, Any] = {
    "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1c1c1c"},
    "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
    "legend": {"orientation": "h", "y": -0.18, "x": 0},
    "hoverlabel": {"font": {"size": 13}},
    "dragmode": "pan",
}
