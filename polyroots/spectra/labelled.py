"""Eigenvalues as an array, as tables of other libraries, and as a picture."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Complex, Float64
from numpy.typing import DTypeLike

from polyroots.display import plotting, png_of
from polyroots.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from polyroots.spectra.convolution import Convolution


class Labelled:
    """Base class of `polyroots.Spectrum`: its values as an array, with frequencies as labels, and as a picture."""

    values: Complex[np.ndarray, "N"]
    convolution: Convolution
    conditions: Float64[np.ndarray, "N"] | None
    errors: Float64[np.ndarray, "N"] | None
    frequencies: Any

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

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with a row for each eigenvalue.

        Its columns are eigenvalue (complex); with circular padding theta_y and theta_x, in radians; with zero padding
        condition and error, where they are known.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        pandas = _library("pandas", "to_pandas")
        columns: dict[str, Any] = {"eigenvalue": self.values}
        if self.frequencies is not None:
            columns |= {"theta_y": self.frequencies[:, 0], "theta_x": self.frequencies[:, 1]}
        known = {"condition": self.conditions, "error": self.errors}
        return pandas.DataFrame(columns | {name: numbers for name, numbers in known.items() if numbers is not None})

    def to_xarray(self) -> Any:
        """Return an xarray.DataArray of shape (H, W, c) on the grid of frequencies.

        Its dimensions are theta_y and theta_x, whose coordinates are in radians and ascend in (-pi, pi], and index, the
        c eigenvalues of a frequency. Padding, dilation and groups are attributes.

        Returns
        -------
        xarray.DataArray

        Raises
        ------
        InputError
            If xarray is not installed, or the padding is zeros: these eigenvalues have no frequency.
        """
        xarray = _library("xarray", "to_xarray")
        if self.frequencies is None:
            raise InputError("eigenvalues with zero padding have no frequency; compute them with circular padding")
        (H, W), convolution = self.convolution.size, self.convolution
        on_grid = self.frequencies.reshape(H, W, -1, 2)
        theta_y, theta_x = on_grid[:, 0, 0, 0], on_grid[0, :, 0, 1]
        rows, columns = np.argsort(theta_y), np.argsort(theta_x)
        return xarray.DataArray(
            self.values.reshape(H, W, -1)[np.ix_(rows, columns)],
            coords={"theta_y": theta_y[rows], "theta_x": theta_x[columns]},
            dims=("theta_y", "theta_x", "index"),
            name="eigenvalue",
            attrs={
                "padding": convolution.padding,
                "dilation": convolution.dilation,
                "groups": convolution.groups,
            },
        )

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


def _library(name: str, what: str) -> Any:
    """Return a library that is not installed with polyroots, or raise InputError with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{what} needs {name}, which is not installed: 'pip install {name}'") from error
