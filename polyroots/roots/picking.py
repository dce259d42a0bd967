"""Picking roots from a spectrum one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Complex128, Float64, Inexact

from polyroots.errors import InputError
from polyroots.polynomials import Target, join_blocks, log_distances, root_count
from polyroots.roots.fitting import ChosenRoots, RootRequest, expand_conjugates, fit, natural
from polyroots.text import count_of

# Scores (logarithms) this close, relative to 1 or to the larger, are ties, and so are reaches of points, relative to
# the spectral radius: those of mirrored points differ by rounding.
_TIE = 1e-9

#: The candidates: real parts, positive real parts, moduli of real parts (for +- pairs), pairs off the real axis, or the
#: eigenvalues.
RootKind = Literal["real", "positive", "symmetric", "pair", "any"]


@dataclass(frozen=True)
class PickingRule:
    """The order in which candidates are picked.

    Attributes
    ----------
    score : callable
        (candidates, roots before) -> scores; the candidate with the largest score is picked next.
    first : callable
        (kind, target, count) -> points; the candidates nearest to these are picked before all others.
    """

    score: Callable[[Inexact[np.ndarray, "N"], Complex128[np.ndarray, "n"]], Float64[np.ndarray, "N"]]
    first: Callable[[RootKind, Target, int], Sequence[complex]] = field(default=lambda kind, target, count: ())


def outermost(candidates: Inexact[np.ndarray, "N"], before: Complex128[np.ndarray, "n"]) -> Float64[np.ndarray, "N"]:
    """Return the logarithms of the moduli."""
    with np.errstate(divide="ignore"):
        return np.log(np.abs(candidates))


def farthest(candidates: Inexact[np.ndarray, "N"], before: Complex128[np.ndarray, "n"]) -> Float64[np.ndarray, "N"]:
    """Return the scores of Leja order with respect to the roots before and zero: roots near zero make q large."""
    return log_distances(candidates, np.append(before, 0))


def _ends(kind: RootKind, target: Target, count: int) -> Sequence[complex]:
    """Return the extreme real parts, and the point with the largest imaginary part."""
    points, errors = target.points, target.errors

    def end(reach: Float64[np.ndarray, "N"]) -> np.intp:
        # Among ties up to rounding the point of largest modulus.
        near = np.flatnonzero(reach >= reach.max() - np.maximum(errors, _TIE * target.radius))
        return near[np.abs(points[near]).argmax()]

    outermost = [end(-points.real), end(points.real), end(points.imag)]
    low, high, top = (complex(point) for point in points[outermost])
    if kind == "pair":
        return [top]
    if kind == "any":
        larger = [low, high] if abs(low) > abs(high) else [high, low]
        return [*(larger if count <= 2 else [low, high]), top]
    ends = [complex(low.real), complex(high.real)]
    if kind == "symmetric":
        return [complex(abs(end)) for end in ends]
    if kind == "positive":
        # In the right half-plane the same as for all real parts.
        ends = [z for z, error in zip(ends, errors[outermost], strict=False) if z.real > error]
    return sorted(ends, key=abs)[1:] if count == 1 else ends


#: The rule of `extremal`: the ends of the spectrum first, then Leja order.
EXTREMAL = PickingRule(farthest, _ends)


def pick_eigenvalues(
    target: Target, request: RootRequest, rule: PickingRule, *, by_kind: PickingRule | None = None
) -> ChosenRoots:
    """Pick eigenvalues, or if the blocks can't hold them, real parts and pairs for each kind of block.

    Parameters
    ----------
    target : Target
    request : RootRequest
    rule : PickingRule
    by_kind : PickingRule, optional
        The rule for picking by kind, if it is another one.

    Returns
    -------
    ChosenRoots
    """
    try:
        roots, remarks = _take("any", target, request.count, rule)
        if request.blocks is None:
            return natural(roots, remarks)
        chosen = fit(roots, request.blocks, request.positive)
        if request.has_signs(chosen.roots):
            return chosen
    except InputError:
        if request.blocks is None:
            raise
    return pick_kinds(target, request.blocks, by_kind or rule, positive=request.positive)


def pick_kinds(
    target: Target,
    blocks: tuple[str, ...],
    rule: PickingRule,
    *,
    pairs_are_real: bool = False,
    positive: tuple[bool, ...] = (),
) -> ChosenRoots:
    """Pick roots for each kind of block.

    L and R take real parts, L with `positive` only positive ones, S plus and minus the modulus of a real part, C pairs
    off the real axis, or two real parts with `pairs_are_real`.
    """
    source: dict[str, RootKind] = {
        "L": "real",
        "R": "real",
        "S": "symmetric",
        "C": "real" if pairs_are_real else "pair",
    }
    kinds: list[RootKind] = [source[letter] for letter in blocks]
    for index, is_positive in enumerate(positive):
        if is_positive:
            kinds[index] = "positive"
    order: tuple[RootKind, ...] = ("real", "positive", "symmetric", "pair")
    counts = {
        kind: sum(root_count(letter) for letter, own in zip(blocks, kinds, strict=True) if own == kind)
        for kind in order
    }
    all_roots: list[complex] = []
    found: dict[RootKind, list[complex]] = {}
    remarks = []
    for kind, count in counts.items():
        found[kind], more = _take(kind, target, count, rule, all_roots)
        all_roots += found[kind]
        remarks += more
        if len(found[kind]) < count:
            raise _too_few(kind, blocks, count, len(found[kind]))
    remaining = {kind: iter(roots) for kind, roots in found.items()}
    ordered = [
        next(remaining[kind]) for letter, kind in zip(blocks, kinds, strict=True) for _ in range(root_count(letter))
    ]
    return ChosenRoots(ordered, blocks, tuple(remarks))


def even_degrees(count: int) -> str:
    """Return the degrees with an even number of roots next to an odd number, as text.

    >>> even_degrees(1), even_degrees(3)
    ('degree 1', 'degree 1 or 3')
    """
    return f"degree {count}" if count == 1 else f"degree {count - 2} or {count}"


def _take(
    kind: RootKind, target: Target, count: int, rule: PickingRule, known: Sequence[complex] = ()
) -> tuple[list[complex], list[str]]:
    """Pick at most `count` roots of a kind, without candidates that are relatively zero or equal to a picked one."""
    if not count:
        return [], []
    candidates, errors = _candidates(kind, target)
    if kind == "positive":
        # Other blocks may have taken real parts of this side.
        for root in known:
            is_other = np.abs(candidates - root) > errors
            candidates, errors = candidates[is_other], errors[is_other]
    first = list(rule.first(kind, target, count))
    before = np.array(known, dtype=np.complex128)
    roots: list[complex] = []
    remarks: list[str] = []
    if kind == "any":
        _require_fillable(candidates, count)
    while len(roots) < count and len(candidates):
        options = np.arange(len(candidates))
        if kind == "any":
            options = np.flatnonzero(_leaves_fillable(candidates, count - len(roots)))
        if not len(options):
            break
        if first:
            best = options[np.argmin(np.abs(candidates[options] - first[0]))]
        else:
            best = options[_first_of_the_best(rule.score(candidates[options], before), candidates[options])]
        point = candidates[best]
        if abs(point) <= errors[best]:
            remarks.append(f"the candidate {abs(point):.1g} was left out: relative to the spectrum it is zero")
            keep = np.abs(candidates) > errors
        else:
            first = first[1:]
            fresh = _with_partner(kind, complex(point))
            roots += fresh
            before = np.append(before, fresh)
            keep = np.abs(candidates - point) > np.maximum(errors, errors[best])
        candidates, errors = candidates[keep], errors[keep]
    return roots, remarks


def _first_of_the_best(scores: Float64[np.ndarray, "N"], points: Inexact[np.ndarray, "N"]) -> np.intp:
    """Return the index of the largest score, and among ties up to rounding that of the point of largest modulus."""
    top = scores.max()
    margin = _TIE * max(1.0, abs(top)) if np.isfinite(top) else 0.0
    ties = np.flatnonzero(scores >= top - margin)
    return ties[np.argmax(np.abs(points[ties]))]


def _candidates(kind: RootKind, target: Target) -> tuple[Inexact[np.ndarray, "N"], Float64[np.ndarray, "N"]]:
    """Return the points that roots of a kind are picked from, and the errors of these."""
    if kind in ("pair", "any"):
        chosen = ~target.is_real if kind == "pair" else slice(None)
        return target.points[chosen], target.errors[chosen]
    reals = np.abs(target.points.real) if kind == "symmetric" else target.points.real
    reals, first = np.unique(reals, return_index=True)
    errors = target.errors[first]
    if kind == "positive":
        return reals[reals > errors], errors[reals > errors]
    return reals, errors


def _with_partner(kind: RootKind, point: complex) -> list[complex]:
    """Return the root or the two roots that a picked point stands for."""
    if kind == "symmetric":
        return [point, complex(-point.real)]
    return expand_conjugates([point])


def _require_fillable(points: Complex128[np.ndarray, "n"], count: int) -> None:
    """Raise InputError if no subset of the points, with their conjugates, has `count` elements."""
    n_real = int((points.imag == 0).sum())
    total = 2 * len(points) - n_real
    if count > total:
        raise too_few_points(count, total)
    if count % 2 and not n_real:
        raise InputError(
            f"degree {count - 1} has {count_of(count, 'root')}, but the spectrum has conjugate pairs only, none of its "
            f"eigenvalues is real: an even number of roots fits, {even_degrees(count)}"
        )


def too_few_points(count: int, total: int) -> InputError:
    """Return the error for more roots than a spectrum has points."""
    return InputError(
        f"degree {count - 1} has {count_of(count, 'root')}, but the spectrum has "
        f"{count_of(total, 'distinct non-zero eigenvalue')} only; degree {total - 1} makes q zero on all of them"
    )


def _leaves_fillable(points: Complex128[np.ndarray, "N"], left: int) -> Bool[np.ndarray, "N"]:
    """Return the mask of the points after which the other points can still make up the number of roots left."""
    is_real = points.imag == 0
    n_real = int(is_real.sum())
    total = 2 * len(points) - n_real

    def fills(count: int, reals: int, total: int) -> bool:
        return 0 <= count <= total and (count % 2 == 0 or reals > 0)

    return np.where(is_real, fills(left - 1, n_real - 1, total - 1), fills(left - 2, n_real, total - 2))


def _too_few(kind: RootKind, blocks: tuple[str, ...], wanted: int, found: int) -> InputError:
    """Return the error for blocks that need more points of a kind than the spectrum has."""
    if kind == "positive":
        return InputError(
            f"blocks {join_blocks(blocks)} rectify twice and need {count_of(wanted, 'distinct positive real part')}, "
            f"the spectrum has {found}; choose signs 'paper', or an A such as the shifted one",
            fields=("signs",),
        )
    what = {
        "real": "distinct non-zero real parts",
        "symmetric": "real parts of distinct non-zero modulus",
        "pair": "distinct conjugate pairs off the real axis",
    }[kind]
    each = 1 if kind in ("real", "positive") else 2
    return InputError(
        f"blocks {join_blocks(blocks)} need {wanted // each} {what}, the spectrum has {found // each}; choose other "
        "blocks" + (" or a lower degree" if wanted > each else "")
    )
