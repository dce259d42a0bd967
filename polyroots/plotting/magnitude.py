"""Colours of |q|: blue where it damps, orange where it amplifies, so that the hue changes at |q| = 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, Normalize, TwoSlopeNorm, to_hex

# Eigenvalues, which are dark blue, show on all of these; orange and blue are distinct with colour blindness.
_BELOW = LinearSegmentedColormap.from_list("damped", ["#2f6fae", "#86b3dc", "#eaf2fa"])
_ABOVE = LinearSegmentedColormap.from_list("amplified", ["#fdebd0", "#f2ae55", "#bf6a12"])
_BOTH = ListedColormap([*_BELOW(np.linspace(0, 0.9, 256)), *_ABOVE(np.linspace(0, 1, 256))], "magnitude")
# Of a surface that hardly exceeds 1, only the palest orange is used.
_LEAST_ABOVE = 2.0


def magnitude_colours(largest: float, *, is_far_below: bool = False) -> ScalarMappable:
    """Return colours of |q| from 0 to its largest value, of which those up to 1 are blue and the others orange.

    Parameters
    ----------
    largest : float
    is_far_below : bool
        Whether the blues extend to the largest value instead of 1.
    """
    if largest > 1:
        return ScalarMappable(TwoSlopeNorm(1.0, 0.0, max(largest, _LEAST_ABOVE)), _BOTH)
    return ScalarMappable(Normalize(0.0, largest if is_far_below else 1.0), _BELOW)


def band_colours(bounds: Sequence[float]) -> list[str]:
    """Return the colours of the bands below, between and above some bounds of |q|: blue below 1, orange above.

    >>> len(band_colours([0.1, 1, 10]))
    4
    """
    # A band that contains 1 has the colour of the larger part on a logarithmic scale.
    middles = np.sqrt(np.array([bounds[0] / 2, *bounds]) * np.array([*bounds, 2 * bounds[-1]]))
    count = int((middles <= 1).sum())
    palest = 0.8 if count < len(middles) else 1.0
    below = _BELOW(np.linspace(0, palest, count) if count > 1 else np.array([0.4] * count))
    above = _ABOVE(np.linspace(0.25, 1, max(len(middles) - count, 3))[: len(middles) - count])
    return [_hex(colour) for colour in (*below, *above)]


def _hex(colour: Any) -> str:
    red, green, blue, _ = colour
    return to_hex((float(red), float(green), float(blue)))


def exponent_colours(lowest: int, highest: int) -> list[tuple[float, str]]:
    """Return (share of the range, colour) of log10 |q| between negative and positive powers of ten."""
    span = highest - lowest
    below = [(power, _BELOW(0.85 * (1 - power / lowest))) for power in np.linspace(lowest, 0, 8)]
    above = [(power, _ABOVE(0.25 + 0.75 * power / highest)) for power in np.linspace(0, highest, 8)]
    return [(float((power - lowest) / span), _hex(colour)) for power, colour in (*below, *above)]


def sampled(colours: ScalarMappable, count: int = 24) -> list[tuple[float, str]]:
    """Return (share of the range, colour) at even values, and at both sides of 1 if it is inside."""
    cmap: Colormap = colours.get_cmap()
    low, high = colours.get_clim()
    assert low is not None
    assert high is not None
    values = np.linspace(low, high, count)
    if low < 1 < high:
        values = np.sort(np.append(values[np.abs(values - 1) > 1e-6], [1 - 1e-6, 1 + 1e-6]))
    norm = colours.norm
    return [(float((value - low) / (high - low)), _hex(np.asarray(cmap(norm(value))))) for value in values]
