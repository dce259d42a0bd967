"""Pictures of a residual polynomial over a spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from polyroots.display import plotting
from polyroots.errors import unknown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The function of `polyroots.plotting` for each kind.
_KINDS = {"contours": "draw_contours", "surface": "draw_surface", "real": "draw_real"}


class Drawn:
    """Base class of `polyroots.ResidualPolynomial`: its picture."""

    def plot(
        self,
        spectrum: ArrayLike,
        ax: Axes | None = None,
        kind: Literal["contours", "surface", "real"] = "contours",
        **options: Any,
    ) -> Axes:
        """Draw q over a spectrum, and return the axes.

        Parameters
        ----------
        spectrum : Spectrum, or (N,) array_like of complex
        ax : matplotlib.axes.Axes, optional
            For a surface with ``projection="3d"``. By default those of a new figure of pyplot, which a notebook shows
            and ``plt.show()`` opens.
        kind : ``"contours"``, ``"surface"`` or ``"real"``
            Bands of |q| in the complex plane, the surface of |q| over the spectrum's hull, or q along the real axis.
        **options
            Of `polyroots.plotting.draw_contours`, `draw_surface` or `draw_real`, such as a title.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        InputError
            If the kind is unknown, or a surface gets flat axes or eigenvalues on a line.

        Examples
        --------
        >>> import numpy as np, polyroots as pr
        >>> Lambda = pr.eigenvalues(np.random.default_rng(5).standard_normal((2, 2, 3, 3)), 8)
        >>> q = pr.ResidualPolynomial(pr.select_roots(Lambda))
        >>> q.plot(Lambda, title="four roots").get_title()
        'four roots'
        """
        if kind not in _KINDS:
            raise unknown_name("kind", str(kind), _KINDS)
        package = plotting()
        axes: Axes = package.new_axes(in_space=kind == "surface") if ax is None else ax
        getattr(package, _KINDS[kind])(spectrum, self, ax=axes, **options)
        return axes
