"""Levels: steps on one resolution that share convolutions A and carry the residual.

A level holds the features u and the residual r = f - A u. A is linear, so that a step which changes u by delta changes
r by -A delta, and r is never recomputed. Where A changes inside a level, f is recovered once; it is the same for the
rest of the level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict, Unpack, cast

import torch
from numpy.typing import ArrayLike
from torch import nn

from polyroots.errors import InputError
from polyroots.models.operator import ConvOperator, Features, Init, Padding
from polyroots.models.placement import Placement, default_placements, make_place, once_a_level, require_fit
from polyroots.models.step import Alphas, ExtractorStep, PolyStep, Step
from polyroots.polynomials import Factor, ResidualPolynomial, factors_from_roots, parse_blocks
from polyroots.roots import completed, natural


class OperatorOptions(TypedDict, total=False):
    """Options of a level's convolutions A, see `SmoothingLevel`."""

    padding: Padding
    steps_per_A: int | None
    A_init: Init
    begins_at_zero: bool


class SmoothingLevel(nn.Module):
    """Steps on one resolution, the common base of Poly-MgNet's and MgNet's levels.

    Parameters
    ----------
    steps : sequence of Step
    channels : int
    padding : ``"zeros"`` or ``"circular"``
        Of A.
    steps_per_A : int, optional
        Number of successive steps that share one A; by default all of them.
    A_init : ``"kaiming"`` or ``"shifted"``
        How A is drawn, see `polyroots.models.ConvOperator`.
    begins_at_zero : bool
        Whether the level is always given u = None. The first step then reads f without an application of A, and a
        first step that needs no A for its update shares that of the next one.

    Attributes
    ----------
    A : ConvOperator, or ModuleList of one for each group of steps
    blocks : ModuleList of the steps
    """

    def __init__(
        self,
        steps: Sequence[Step],
        channels: int,
        padding: Padding = "zeros",
        steps_per_A: int | None = None,
        A_init: Init = "kaiming",
        begins_at_zero: bool = False,
    ) -> None:
        super().__init__()
        if not steps:
            raise InputError("a level needs at least one step, got none")
        self._A_of_step = group_of_steps(len(steps), steps_per_A)
        if begins_at_zero and not steps[0].applies_A and self._A_of_step.count(0) == 1 < len(steps):
            self._A_of_step = [0, *(group - 1 for group in self._A_of_step[1:])]
        self.A = shared(lambda: ConvOperator(channels, padding, A_init), self._A_of_step)
        self.blocks = nn.ModuleList(steps)
        once = once_a_level(step.placement for step in steps)
        self.output = make_place(once.output, channels)
        self.output_is_exit = once.where == "exit"

    @property
    def operators(self) -> tuple[ConvOperator, ...]:
        """A of each step."""
        return one_for_each(self.A, self._A_of_step)

    @property
    def extractors(self) -> tuple[ConvOperator, ...]:
        """The convolution that each step reads its update from: A of a polynomial in A, B of a MgNet."""
        return self.operators

    def forward(self, u: Features | None, r: Features, carry_residual: bool = True) -> tuple[Features, Features | None]:
        """Return the features and the residual that leave the level.

        Parameters
        ----------
        u : (batch, channels, height, width)
            Features; None stands for zero and costs nothing.
        r : (batch, channels, height, width)
            Residual f - A u, with the level's first A.
        carry_residual : bool
            False where the residual is not used afterwards: saves one application of A, and None is returned for it.

        Returns
        -------
        u, r : (batch, channels, height, width)
            The features, and the residual of the u before an output at the exit; None if it is not carried.
        """
        operators = self.operators
        steps = cast("Sequence[Step]", self.blocks)
        # Where A changes f is needed; r is f if u = 0.
        f = r if u is None and operators[0] is not operators[-1] else None
        for index, (step, A, extractor) in enumerate(zip(steps, operators, self.extractors, strict=True)):
            is_last = index == len(steps) - 1
            new, delta = step(extractor, u, r)
            is_additive = step.is_additive
            if is_last and not self.output_is_exit:
                new = self.output(new)
                is_additive = is_additive and isinstance(self.output, nn.Identity)
            if is_last and not carry_residual:
                u = new
                break
            next_A = A if is_last else operators[index + 1]
            if next_A is A:
                r = _carried(A, r, u, new, delta if is_additive else None)
            else:
                if f is None:
                    assert u is not None
                    f = r + A(u)
                r = f - next_A(new)
            u = new
        assert u is not None
        leaving = self.output(u) if self.output_is_exit else u
        return leaving, r if carry_residual else None


class Level(SmoothingLevel):
    """A Poly-MgNet's level: polynomial smoothers in A.

    Parameters
    ----------
    channels : int
    blocks : str or sequence of str, optional
        Letters such as ``"L,L,C"``, see `polyroots.polynomials.blocks.BLOCKS`; by default those that fit the roots.
    roots : (d + 1,) array_like of complex, optional
        Roots of the residual polynomial, in the order of the blocks; conjugates that are left out are completed.
        Without them all coefficients are neutral until they are set: p = I, or A for a symmetric pair.
    placement : str, Placement or sequence of these, optional
        Of batch norm and ReLU, see `polyroots.models.Placement`: one for all blocks, or one for each; by default the
        authors'.
    alphas : ``"trained"`` or ``"fixed"``
        Whether the coefficients are trained, or stay as they are set.
    **options
        ``padding``, ``steps_per_A``, ``A_init`` and ``begins_at_zero``, see `SmoothingLevel`.

    Raises
    ------
    InputError
        If blocks, roots and placement don't go together, or neither blocks nor roots are given.

    Examples
    --------
    Six channels on 8x8 pixels; zero features to begin with:

    >>> import torch
    >>> level = Level(6, roots=[0.5, 0.8 + 0.3j], placement="smoother")
    >>> u, r = level(None, torch.ones(2, 6, 8, 8))
    >>> u.shape == r.shape == (2, 6, 8, 8)
    True
    """

    def __init__(
        self,
        channels: int,
        blocks: str | Iterable[str] | None = None,
        *,
        roots: ArrayLike | None = None,
        placement: str | Placement | Sequence[str | Placement] | None = None,
        alphas: Alphas = "trained",
        **options: Unpack[OperatorOptions],
    ) -> None:
        letters, factors = blocks_and_factors(blocks, roots)
        placements = placements_of(letters, placement)
        steps = [PolyStep(letter, channels, place, alphas) for letter, place in zip(letters, placements, strict=True)]
        super().__init__(steps, channels, **options)
        set_coefficients([(step, f.coefficients) for step, f in zip(steps, factors, strict=False)])

    def set_roots(self, roots: ArrayLike) -> None:
        """Set the coefficients from roots of the residual polynomial, in the order of the blocks.

        Parameters
        ----------
        roots : (d + 1,) array_like of complex

        Raises
        ------
        InputError
            If the blocks can't have these roots, or a coefficient is beyond the network's precision. The level is then
            left as it was.
        """
        _, factors = blocks_and_factors(self.letters, roots)
        set_coefficients([(step, f.coefficients) for step, f in zip(self.steps, factors, strict=True)])

    @property
    def steps(self) -> tuple[PolyStep, ...]:
        """The steps, one for each block."""
        return tuple(cast("Iterable[PolyStep]", self.blocks))

    @property
    def letters(self) -> tuple[str, ...]:
        """Block sequence."""
        return tuple(step.letter for step in self.steps)

    @property
    def groups(self) -> list[tuple[ConvOperator, list[PolyStep]]]:
        """Each A, with the steps that share it."""
        result: list[tuple[ConvOperator, list[PolyStep]]] = []
        for A, step in zip(self.operators, self.steps, strict=True):
            if not result or result[-1][0] is not A:
                result.append((A, []))
            result[-1][1].append(step)
        return result


class MgLevel(SmoothingLevel):
    """A MgNet's level: feature extractors B, u <- u + relu bn B relu bn (f - A u).

    Parameters
    ----------
    channels : int
    steps : int
    placement : Placement
    steps_per_B : int, optional
        Number of successive steps that share one B; by default all of them.
    **options
        ``padding``, ``steps_per_A``, ``A_init`` and ``begins_at_zero``, see `SmoothingLevel`.

    References
    ----------
    J. He, J. Xu, MgNet: A unified framework of multigrid and convolutional neural network, Sci. China Math. 62 (2019).
    """

    def __init__(
        self,
        channels: int,
        steps: int,
        placement: Placement,
        *,
        steps_per_B: int | None = None,
        **options: Unpack[OperatorOptions],
    ) -> None:
        if placement.on_A_term:
            raise InputError(f"MgNet's step has no A-term, got the placement {placement}; choose another one")
        super().__init__([ExtractorStep(channels, placement) for _ in range(steps)], channels, **options)
        padding = options.get("padding", "zeros")
        self._B_of_step = group_of_steps(steps, steps_per_B)
        self.B = shared(lambda: ConvOperator(channels, padding), self._B_of_step)

    @property
    def extractors(self) -> tuple[ConvOperator, ...]:
        """B of each step."""
        return one_for_each(self.B, self._B_of_step)


def blocks_and_factors(
    blocks: str | Iterable[str] | None, roots: ArrayLike | None
) -> tuple[tuple[str, ...], tuple[Factor, ...]]:
    """Return blocks and, with roots, their factors; without blocks those that fit the roots."""
    if roots is None:
        if blocks is None:
            raise InputError("expected blocks such as L,L,C, or roots that choose them, got none of them")
        return parse_blocks(blocks), ()
    complete = completed(roots)
    ResidualPolynomial(complete)  # refuses roots that no residual polynomial has, such as zero
    if blocks is None:
        choice = natural(complete)
        return choice.blocks, factors_from_roots(choice.blocks, choice.roots)
    letters = parse_blocks(blocks)
    return letters, factors_from_roots(letters, complete)


def set_coefficients(chosen: Sequence[tuple[PolyStep, Sequence[float]]]) -> None:
    """Set the coefficients of several steps, all or none.

    Raises
    ------
    InputError
        If one is beyond the network's precision.
    """
    before = [step.alphas.detach().clone() for step, _ in chosen]
    try:
        for step, coefficients in chosen:
            step.set_alphas(coefficients)
    except InputError:
        with torch.no_grad():
            for (step, _), alphas in zip(chosen, before, strict=True):
                step.alphas.copy_(alphas)
        raise


def group_of_steps(steps: int, per: int | None) -> list[int]:
    """Return the group of each step, with `per` successive steps in a group; by default all of them."""
    if per is not None and per < 1:
        raise InputError(f"expected at least one step that shares a convolution, got {per}")
    return [step // (per or steps) for step in range(steps)]


def shared(make: Callable[[], ConvOperator], group_of_step: Sequence[int]) -> nn.Module:
    """Return one convolution for all steps, or a list with one for each group."""
    groups = group_of_step[-1] + 1
    return make() if groups == 1 else nn.ModuleList(make() for _ in range(groups))


def one_for_each(module: nn.Module, group_of_step: Sequence[int]) -> tuple[ConvOperator, ...]:
    """Return the convolution of each step, from the module that `shared` made."""
    convolutions = [module] if isinstance(module, ConvOperator) else list(cast("nn.ModuleList", module))
    return tuple(cast("ConvOperator", convolutions[group]) for group in group_of_step)


def _carried(A: ConvOperator, r: Features, u: Features | None, new: Features, delta: Features | None) -> Features:
    """Return the residual after a step from u to `new`, which is u + delta where delta is not None."""
    if delta is not None:
        return r - A(delta)
    # Subtracted in this order the gradient is negated once and not twice.
    return r - A(new) if u is None else r + A(u - new)


def placements_of(
    blocks: tuple[str, ...], placement: str | Placement | Sequence[str | Placement] | None
) -> tuple[Placement, ...]:
    """Return the placement of each block, from one for all or one for each; by default the authors'."""
    if placement is None:
        return default_placements(blocks)
    each = (placement,) * len(blocks) if isinstance(placement, str | Placement) else tuple(placement)
    chosen = tuple(p if isinstance(p, Placement) else Placement.parse(p) for p in each)
    require_fit(blocks, chosen)
    return chosen
