"""What the plots of a report have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Complex128, Float64

from polyroots.polynomials import ResidualPolynomial

#: What reaches so far is no surface to look at, and beyond float32.
BEYOND = 1e30

LAYOUT: dict[str, Any] = {
    "template": "none",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1c1c1c"},
    "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
    "legend": {"orientation": "h", "y": -0.18, "x": 0},
    "hoverlabel": {"font": {"size": 13}},
    "dragmode": "pan",
}


def size_of(q: ResidualPolynomial, z: Complex128[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """|q|, infinite where it is beyond float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.nan_to_num(np.abs(q(z)), nan=np.inf, posinf=np.inf)
