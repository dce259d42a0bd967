"""A set of eigenvalues: its radius and its ends, as an array and as a picture."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Complex
from numpy.typing import DTypeLike

from polyroots.display import plotting, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class EigenvalueSet:
    """Eigenvalues, with what follows from them; `polyroots.Spectrum` and `OperatorSpectrum` are such sets."""

    values: Complex[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[complex]:
        return iter(self.values.tolist())

    def __getitem__(self, index: Any) -> Any:
        """Return the values that an index, a slice or a mask takes from `values`."""
        return self.values[index]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Any:
        """Return `values` as numpy asks for them: converted to a type, and copied if need be or never."""
        return np.array(self.values, dtype=dtype, copy=copy)

    @cached_property
    def radius(self) -> float:
        """Spectral radius, the largest modulus."""
        return float(np.abs(self.values).max())

    @cached_property
    def min_real(self) -> float:
        """Smallest real part."""
        return float(self.values.real.min()) + 0.0  # no -0.0

    @cached_property
    def max_real(self) -> float:
        """Largest real part."""
        return float(self.values.real.max()) + 0.0  # no -0.0

    @cached_property
    def max_imag(self) -> float:
        """Largest imaginary part."""
        return float(self.values.imag.max()) + 0.0  # no -0.0

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the eigenvalues in the complex plane, and return the axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            By default those of a new figure of pyplot, which a notebook shows and ``plt.show()`` opens.
        **options
            Of `polyroots.plotting.draw_spectrum`, such as a title.

        Returns
        -------
        matplotlib.axes.Axes
        """
        package = plotting()
        axes: Axes = package.new_axes() if ax is None else ax
        package.draw_spectrum(self, ax=axes, **options)
        return axes

    @cached_property
    def _picture(self) -> bytes:
        return png_of(plotting().draw_spectrum(self))

    def _repr_png_(self) -> bytes:
        return self._picture

    def _repr_html_(self) -> str:
        from polyroots.tables import as_html

        picture = base64.b64encode(self._picture).decode()
        return f'{as_html(repr(self))}<img alt="eigenvalues in the plane" src="data:image/png;base64,{picture}">'


def high_frequencies(size: Sequence[int]) -> Bool[np.ndarray, "..."]:
    """Return which frequencies of a grid are high: |theta| >= pi / 2 along an axis, which twice the spacing lacks."""
    # In whole numbers: pi / 2 is high, and numpy's fftfreq rounds 49 of 196 to less than a quarter.
    return reduce(np.logical_or.outer, (4 * np.minimum(np.arange(n), n - np.arange(n)) >= n for n in size))
