"""Figure 3: the surface of |q| over the spectrum of one convolution, with the roots of q."""

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
from polyroots_figures.operators import FigureOperator, operators_of
from polyroots_figures.request import Computed, Request

#: In place of a strategy: the roots of the polynomial that the network's coefficients define.
OWN = "own"


def compute(request: Request) -> list[Computed]:
    """Compute the spectrum of each A, with roots chosen from it or those of the network's own coefficients.

    By default they are the network's own; those of a fresh A are the paper's: the eigenvalues of smallest and largest
    real part, and the conjugate pair of largest imaginary part.

    Raises
    ------
    InputError
        If the network's own roots are asked for and it has no polynomials.
    """
    computed = []
    for operator in operators_of(request):
        Lambda = eigenvalues_of(Convolution.of(operator.weight, operator.size, name=operator.name))
        q, origin = _polynomial(request, operator, Lambda)
        title = f"$|q_{{{len(q.roots)}}}(\\Lambda)|$ over the spectrum of {operator.source}\n{operator.shape}; {origin}"
        data = {"title": title, "values": Lambda.values, "roots": q.roots}
        computed.append(Computed(f"figure3{operator.suffix}", data, q.diagnose(Lambda).sentences()))
    return computed


def _polynomial(request: Request, operator: FigureOperator, Lambda: Spectrum) -> tuple[ResidualPolynomial, str]:
    """Return the polynomial, and the origin of its roots for the title."""
    has_own = operator.own is not None
    strategy = request.strategy or (OWN if has_own else "extremal")
    if strategy == OWN:
        if operator.own is None:
            raise InputError(
                f"{operator.name} has no coefficients of its own; choose roots by a strategy such as 'extremal', or "
                "the checkpoint of a Poly-MgNet"
            )
        return operator.own, "the network's own roots"
    options: dict[str, Any] = {"seed": request.seed} if "seed" in options_of(strategy) else {}
    roots = select_roots(Lambda, request.degree, strategy, **options)
    return ResidualPolynomial(roots), f"roots chosen anew by '{strategy}'" if has_own else f"roots '{strategy}'"


def draw(data: Mapping[str, Any], width: float) -> dict[str, Figure]:
    """Draw bands of |q| in the plane, and the surface unless the eigenvalues lie on a line."""
    q = ResidualPolynomial(data["roots"])
    pictures = {"-flat": draw_contours(data["values"], q, data["title"], width=width)}
    with suppress(InputError):
        pictures[""] = draw_surface(data["values"], q, data["title"], width=width)
    return pictures
