"""Figure 3: the surface of |q| over the spectrum of one convolution, with the roots that make it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from matplotlib.figure import Figure

from polyroots.errors import InputError
from polyroots.plotting import draw_contours, draw_surface
from polyroots.polynomials import ResidualPolynomial
from polyroots.roots import options_of, select_roots
from polyroots.spectra import Convolution, Spectrum, eigenvalues_of
from polyroots_figures.operators import FigureOperator, subjects_of
from polyroots_figures.request import Computed, Request

#: Instead of a strategy: the roots that the network's own coefficients make.
OWN = "own"


def compute(request: Request) -> list[Computed]:
    """Compute the spectrum of each A, and choose roots from it, or take those of the network's own coefficients.

    By default those of the paper: smallest and largest real part, and the conjugate pair with the largest imaginary
    part.

    Raises
    ------
    InputError
        If the network has no polynomials, and its own roots are asked for.
    """
    computed = []
    for subject in subjects_of(request):
        Lambda = eigenvalues_of(Convolution.of(subject.weight, subject.size, name=subject.name))
        q, origin = _polynomial(request, subject, Lambda)
        title = f"$|q_{{{len(q.roots)}}}(\\Lambda)|$ over the spectrum of {subject.source}\n{subject.shape}; {origin}"
        data = {"title": title, "values": Lambda.values, "roots": q.roots}
        computed.append(Computed(f"figure3{subject.suffix}", data, q.diagnose(Lambda).sentences()))
    return computed


def _polynomial(request: Request, subject: FigureOperator, Lambda: Spectrum) -> tuple[ResidualPolynomial, str]:
    """The polynomial, and where its roots come from."""
    if request.strategy == OWN:
        if subject.own is None:
            raise InputError(
                f"{subject.name} has no coefficients of its own; choose roots by a strategy such as 'extremal', or the "
                "checkpoint of a Poly-MgNet"
            )
        return subject.own, "roots of the network's own coefficients"
    options = {"seed": request.seed} if "seed" in options_of(request.strategy) else {}
    roots = select_roots(Lambda, request.degree, request.strategy, **options)
    return ResidualPolynomial(roots), f"roots '{request.strategy}'"


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw log |q| as a flat picture, and the surface where the eigenvalues span an area."""
    q = ResidualPolynomial(data["roots"])
    pictures = {"-flat": draw_contours(data["values"], q, data["title"], width=width)}
    # Over eigenvalues on a line a surface has nothing to stand on.
    with suppress(InputError):
        pictures[""] = draw_surface(data["values"], q, data["title"], width=width)
    return pictures
