"""What the strategies that optimise have in common: the blocks' part of the roots, and when to give up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from polyroots.diagnosis import USELESS, floored, remedy
from polyroots.errors import InputError
from polyroots.factors import join_blocks
from polyroots.polynomial import ResidualPolynomial
from polyroots.selection import EXTREMAL, Choice, Wish, fit, misfit, natural, pick_kinds, take_all, too_few_points
from polyroots.target import Target

#: (target, number of roots, further roots that are fixed) -> roots
Optimiser = Callable[[Target, int, Sequence[complex]], list[complex]]

#: Why an optimal polynomial can have fewer roots than it may.
SYMMETRIC = (
    "over a spectrum that is symmetric to 0 the best polynomial is even, so an odd number of roots can't be met; "
    "one root more or fewer fits"
)


def optimise_roots(target: Target, wish: Wish, optimise: Optimiser, strategy: str) -> Choice:
    """Optimise the roots that the blocks leave free.

    Blocks of S alone make q a polynomial of A^2. Among others S has the roots of `extremal`; and so has L, where the
    optimum has fewer real roots than there are L. The rest is the optimum beside them.
    """
    blocks = wish.blocks
    if blocks is None:
        return natural(_solve(optimise, target, wish.count, (), strategy))
    if set(blocks) == {"S"}:
        return _optimise_squares(target, blocks, optimise, strategy)
    remarks: tuple[str, ...] = ()
    for letters in ("S", "SL"):
        fixed = [letter for letter in blocks if letter in letters]
        prior = _rim(target, fixed)
        free = _solve(optimise, target, wish.count - len(prior), prior, strategy)
        if letters == "S" and sum(root.imag == 0 for root in free) < blocks.count("L"):
            if set(blocks) <= set("SL"):
                raise misfit([*prior, *free], blocks)
            continue
        if fixed:
            names = " and ".join(dict.fromkeys(fixed))
            remarks = (f"blocks {names} have the roots of 'extremal', the others are the optimum beside them",)
        break
    chosen = fit([*prior, *free], blocks)
    return Choice(chosen.roots, chosen.blocks, remarks)


def _optimise_squares(target: Target, blocks: tuple[str, ...], optimise: Optimiser, strategy: str) -> Choice:
    """Optimise over polynomials of A^2, whose roots are to be positive; if they aren't, only the last of them."""
    remarks: tuple[str, ...] = ()
    squares = _solve(optimise, target.squared(), len(blocks), (), strategy)
    if any(square.imag or square.real < 0 for square in squares) and len(blocks) > 1:
        fixed = [root**2 for root in _rim(target, blocks[:-1])[::2]]
        squares = [*fixed, *_solve(optimise, target.squared(), 1, fixed, strategy)]
        remarks = ("the last block S is the optimum beside the others, which have the roots of 'extremal'",)
    if any(square.imag or square.real < 0 for square in squares):
        raise InputError(
            f"'{strategy}' chooses imaginary roots here, which blocks S can't hold; leave the blocks out, and the "
            "degree alone picks them"
        )
    roots = [z for square in squares for z in (square**0.5, complex(-(square.real**0.5)))]
    return Choice(roots, blocks, remarks)


def _rim(target: Target, blocks: Sequence[str]) -> list[complex]:
    """Roots of `extremal` for some of the blocks."""
    if not blocks:
        return []
    target.require_points(f"the choice for blocks {join_blocks(dict.fromkeys(blocks))}")
    return pick_kinds(target, tuple(blocks), EXTREMAL).roots


def _solve(optimise: Optimiser, target: Target, count: int, prior: Sequence[complex], strategy: str) -> list[complex]:
    """Optimise, unless so many roots are all distinct points: then they are the roots."""
    if strategy in ("least-squares", "minimax"):
        if count > target.distinct:
            raise too_few_points(count, target.distinct)
        if count == target.distinct and not prior:
            return take_all(target.points.tolist())
    roots = [complex(root) for root in optimise(target, count, prior)]
    near = [root for root in roots if abs(root) <= target.tolerance]
    if near:
        raise InputError(
            f"'{strategy}' has a root at {abs(near[0]):.1g}, which is zero relative to the spectrum: q(0) = 1 can't be "
            "met beside it; use another strategy or degree"
        )
    return ResidualPolynomial(roots).roots.tolist()


def require_useful(value: float, what: str, strategy: str, target: Target, count: int, *, proven: bool = False) -> None:
    """Raise InputError if the best that can be reached is no smoother: its roots run away and mean nothing."""
    if value < USELESS:
        return
    roots = "1 root" if count == 1 else f"{count} roots"
    reached = f"is {floored(value)} or more (proven)" if proven else f"is {floored(value)}"
    raise InputError(
        f"'{strategy}' has no useful roots here: the least {what} that {roots} can reach {reached}, where q = 1 has 1; "
        f"{remedy(target)}, or another strategy such as 'extremal'"
    )
