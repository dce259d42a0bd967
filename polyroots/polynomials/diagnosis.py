"""How well a residual polynomial damps a spectrum, beside the best that as many roots can reach.

References
----------
.. [1] U. Trottenberg, C. W. Oosterlee, A. Schueller, Multigrid, Academic Press 2001, section 2.1: the smoothing factor.
.. [2] L. Reichel, The application of Leja points to Richardson iteration and polynomial preconditioning, Linear Algebra
   and its Applications 154-156 (1991), 389-414: growth of the partial products.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Complex128, Float64
from numpy.typing import ArrayLike

from polyroots.display import Shown
from polyroots.polynomials.blocks import multiplied
from polyroots.polynomials.certificates import Certificates, PolynomialWithRoots, certify, unless_it_fails
from polyroots.polynomials.leja import extra_copies, prominence
from polyroots.polynomials.minimax import CLOSE, Minimax, is_useless, minimax
from polyroots.polynomials.tables import diagnosis_cells, diagnosis_table
from polyroots.polynomials.target import Target
from polyroots.spectra import Convolution, GeneralOperator, OperatorSpectrum, Spectrum
from polyroots.text import count_of, floored, share
from polyroots.threads import one_blas_thread

if TYPE_CHECKING:
    from rich.table import Table

# |q| that is below 1 by less counts as 1, up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """The effect of a residual polynomial on a spectrum, without the zero eigenvalues, where q = 1.

    All numbers that need eigenvalues are None if these were not computed.

    Attributes
    ----------
    roots : int
        Number of roots of q, d + 1.
    region : str
        ``"all"`` or ``"high"``: the part of the spectrum that max_abs, mean_abs, rms and damped are taken over.
    eigenvalues : int
        Number of eigenvalues in the region, with multiplicity.
    null : int
        Number of relatively zero eigenvalues, which are left out.
    max_abs, mean_abs, rms : float or None
        Maximum, mean and root mean square of |q|.
    damped : float or None
        Share of the eigenvalues with |q| < 1.
    smoothing_factor : float or None
        max |q| over the high frequencies, zero eigenvalues included; None for a spectrum without frequencies.
    holds_zero : bool or None
        Whether 0 lies in the convex hull of the eigenvalues; no single root damps all of them then.
    best : float or None
        max |q| of the best polynomial with as many roots that was found; None if the search failed.
    best_bound : float or None
        A lower bound on max |q| of all polynomials with as many roots, proven in ball arithmetic for the computed
        eigenvalues.
    norm : float or None
        Spectral norm of q(A), the largest factor by which one step multiplies a residual; None if the operator is
        unknown or the computation failed.
    growth : float or None
        Largest modulus of a partial product of the factors in their order, which amplifies rounding errors.
    prominence : float
        log10 of the largest product of factors at a root (`polyroots.polynomials.leja`).
    copies : int
        Number of extra copies of roots by the product-of-factors rule.
    remedy : str
        What can help if no polynomial with as many roots is a smoother.
    ritz_values : bool
        Whether Ritz values stand for the eigenvalues of a large operator: all numbers are over these, and neither
        max_abs nor best_bound holds for the operator.
    notes : tuple of str
        Sentences on what is not known of the spectrum.
    certificates : Certificates or None
        What is proven of the norm of q(A), where it was asked for.

    See Also
    --------
    polyroots.ResidualPolynomial.diagnose : returns it.
    """

    roots: int
    region: str
    eigenvalues: int
    null: int
    max_abs: float | None
    mean_abs: float | None
    rms: float | None
    damped: float | None
    smoothing_factor: float | None
    holds_zero: bool | None
    best: float | None
    best_bound: float | None
    norm: float | None
    growth: float | None
    prominence: float
    copies: int
    remedy: str
    ritz_values: bool = False
    notes: tuple[str, ...] = ()
    certificates: Certificates | None = None

    def __repr__(self) -> str:
        largest = "unknown" if self.max_abs is None else f"{self.max_abs:.4g}"
        what = "Ritz values" if self.ritz_values else "eigenvalues"
        return f"Diagnosis({count_of(self.roots, 'root')}, max|q| {largest} on {self.eigenvalues:,} {what})"

    def parts(self) -> list[str | Table]:
        """Return the table of the numbers, and the sentences."""
        rows = diagnosis_table("roots", "region")
        rows.add_row(str(self.roots), self.region, *diagnosis_cells([asdict(self)]))
        return [rows, *self.sentences()]

    def sentences(self) -> list[str]:
        """Return sentences on the meaning of the numbers, and on remedies."""
        if self.max_abs is None or self.mean_abs is None or self.damped is None:
            known = "" if self.norm is None else f"; one step multiplies a residual by {self.norm:.4g} at most"
            first = f"The {self.eigenvalues:,} eigenvalues were not computed{known}."
            return [first, *self._about_norm(), *self._about_copies()]
        what = "the high frequencies" if self.region == "high" else "the spectrum"
        what, here = ("the Ritz values", "on the Ritz values") if self.ritz_values else (what, "here")
        roots, damp = count_of(self.roots, "root"), "damps" if self.roots == 1 else "damp"
        if self.damped == 1:
            largest = f"{self.max_abs:.4g}" if self.max_abs < 0.99995 else f"1 - {1 - self.max_abs:.1g}"
            of = f"{what} but its null space" if self.null else what
            lines = [f"{roots} {damp} all of {of}: |q| is at most {largest}, {self.mean_abs:.4g} on average."]
        else:
            lines = [
                f"{roots} {damp} {share(self.damped)} of {what}; the worst part is multiplied by {self.max_abs:.4g} "
                "each time q(A) is applied."
            ]
        if self.null:
            count, they = (
                ("1 eigenvalue is", "it is") if self.null == 1 else (f"{self.null:,} eigenvalues are", "they are")
            )
            lines.append(f"{count} zero: q = 1 there whatever the roots, so {they} left out.")
        if self.best is None or self.best_bound is None:
            lines.append(f"The best max|q| that {roots} can reach was not found.")
        elif is_useless(self.best, self.best_bound):
            lines.append(
                f"No polynomial with {roots} gets max|q| below {floored(self.best_bound)} {here} (proven): "
                f"{self.remedy}."
            )
        elif self.best_bound < CLOSE * self.best:
            lines.append(
                f"A polynomial with {roots} reaches max|q| = {self.best:.4g}; that none gets below "
                f"{floored(self.best_bound)} is all that can be proven of so small a value in float64."
            )
        else:
            lines.append(
                f"The best polynomial with {roots} reaches max|q| = {self.best:.4g}"
                f"{f' {here}' if self.ritz_values else ''}; none gets below {floored(self.best_bound)} (proven)."
            )
        if self.holds_zero:
            lines.append("0 lies in the convex hull of the eigenvalues: no single root damps everything.")
        if self.norm is not None and self.norm > 2 * max(self.max_abs, 1.0):
            lines.append(
                f"A is far from normal: one step can multiply a residual by {self.norm:.3g}, more than max|q| says."
            )
        return lines + [f"{note}." for note in self.notes] + self._about_norm() + self._about_copies()

    def _about_norm(self) -> list[str]:
        """Return the sentences on what is proven of the norm."""
        return [] if self.certificates is None else self.certificates.sentences(self.roots)

    def _about_copies(self) -> list[str]:
        """Return the sentence on prominent roots, if there are any."""
        if not self.copies:
            return []
        count = "1 extra copy" if self.copies == 1 else f"{self.copies} extra copies"
        return [
            f"Some roots are too prominent (product of factors 10^{max(self.prominence, 0.0):.0f}): "
            f"{count} of them would keep rounding errors small (with_extra_copies)."
        ]


@one_blas_thread()
def diagnose(
    q: PolynomialWithRoots,
    spectrum: Spectrum | OperatorSpectrum | Convolution | GeneralOperator | ArrayLike | Target,
    *,
    region: str = "all",
    best: Minimax | None = None,
    certificates: Collection[str] = (),
) -> Diagnosis:
    """Return the diagnosis of a residual polynomial on a spectrum, as `polyroots.ResidualPolynomial.diagnose` does.

    Parameters
    ----------
    q : ResidualPolynomial
    spectrum : Spectrum, OperatorSpectrum, Convolution, GeneralOperator, (N,) array_like of complex, or Target
        With a target `region` is ignored: it has one of its own.
    region : ``"all"`` or ``"high"``
    best : Minimax, optional
        The minimax polynomial with as many roots on the same target, if it is known.
    certificates : collection of str
        Names in `CERTIFICATES`: what is to be proven of the norm of q(A).

    Returns
    -------
    Diagnosis

    Raises
    ------
    InputError
        If there are no finite eigenvalues, all of them are zero, the region is unknown or has none, or a certificate is
        unknown, or needs the operator and there is none or one that is too large.
    """
    target = spectrum if isinstance(spectrum, Target) else Target.of(spectrum, region)
    count = len(q.roots)
    norm = unless_it_fails(lambda: target.norms.of(q)) if target.has_norm else None
    scores = prominence(q.roots)
    of_values: dict[str, Any] = dict.fromkeys(
        ("max_abs", "mean_abs", "rms", "damped", "smoothing_factor", "holds_zero", "best", "best_bound", "growth")
    )
    if len(target.points):
        size = magnitude(q, target.points)
        largest = float(size.max()) or 1.0
        best = best or unless_it_fails(lambda: minimax(target, min(count, target.distinct)))
        of_values = {
            "max_abs": float(size.max()),
            "mean_abs": float(size @ target.weights),
            "rms": largest * float(np.sqrt((size / largest) ** 2 @ target.weights)) if largest < np.inf else np.inf,
            "damped": max(0.0, 1 - float(target.weights[size >= 1 - _ROUNDING].sum())),
            "smoothing_factor": _smoothing_factor(q, target),
            "holds_zero": target.holds_zero,
            "best": None if best is None else best.value,
            "best_bound": None if best is None else best.bound,
            "growth": _growth(q, target),
        }
    return Diagnosis(
        roots=count,
        region=target.region,
        eigenvalues=target.count,
        null=target.null,
        norm=norm,
        prominence=float(scores.max()),
        copies=sum(extra_copies(score) for score in scores),
        remedy=remedy(target),
        ritz_values=target.are_ritz_values,
        notes=target.notes,
        certificates=certify(q, target, certificates) if certificates else None,
        **of_values,
    )


def remedy(target: Target) -> str:
    """Return the remedies if no polynomial of a degree is a smoother."""
    ways = ["more roots"]
    if target.holds_zero:
        ways.append("an A shifted so that all eigenvalues are on one side of 0")
    if target.region == "all" and target.spectrum is not None and target.spectrum.frequencies is not None:
        ways.append("the high frequencies alone (region 'high')")
    return f"what can help is {', or '.join(filter(None, [', '.join(ways[:-1]), ways[-1]]))}"


def _smoothing_factor(q: PolynomialWithRoots, target: Target) -> float | None:
    """Return max |q| over the high frequencies, or None for a spectrum without frequencies."""
    spectrum = target.spectrum
    if spectrum is None or spectrum.frequencies is None or not spectrum.is_high_frequency.any():
        return None
    return float(magnitude(q, spectrum.values[spectrum.is_high_frequency].astype(np.complex128)).max())


def magnitude(q: PolynomialWithRoots, z: Complex128[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Return |q(z)|, infinite where it is too large for float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(q(z))
    return np.where(np.isnan(size), np.inf, size)


def _growth(q: PolynomialWithRoots, target: Target) -> float:
    """Return the largest modulus of a partial product of the factors, at least 1."""
    product, growth = np.ones_like(target.points), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        for factor in q.factors:
            product = multiplied(product, factor(target.points))
            growth = max(growth, float(np.abs(product).max()))
    return growth
