"""Roots for each of several operators: the levels of a network, or the layers of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from polyroots.errors import ConvergenceError, InputError
from polyroots.polynomials import Diagnosis, Minimax, ResidualPolynomial, Target, diagnose, factors_from_roots, minimax
from polyroots.roots import RootChoice, choose_roots, fit
from polyroots.spectra import Convolution, Spectrum, eigenvalues_of, is_direct

# Up to so many roots the monomial coefficients of p are worth reading: beyond, they lose their digits.
_READABLE = 9


@dataclass(frozen=True)
class BlockReport:
    """Roots and coefficients of one block.

    Attributes
    ----------
    letter : of the block
    powers : powers of t in the block's p
    roots : (re, im) of each root
    alphas : coefficients of p at these powers
    """

    letter: str
    powers: tuple[int, ...]
    roots: tuple[tuple[float, float], ...]
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class LevelReport:
    """What was found at one level and what its coefficients were set to.

    Attributes
    ----------
    level : from 1
    title : what messages call it, such as "level 1" or a layer's name
    name : of the level's weight
    size : (H, W) in pixels
    channels : of the operator
    radius, min_real, max_real, max_imag : of its spectrum; None where that was not computed
    blocks : in their order
    alphas : coefficients of the level's p(t) = sum_i alpha_i t^i, for reading; None from degree 9 on
    diagnosis : how well the roots damp the spectrum
    words : the same in sentences
    remarks : how the roots came about, where that needs saying
    """

    level: int
    title: str
    name: str
    size: tuple[int, int]
    channels: int
    radius: float | None
    min_real: float | None
    max_real: float | None
    max_imag: float | None
    blocks: tuple[BlockReport, ...]
    alphas: tuple[float, ...] | None
    diagnosis: Diagnosis
    words: tuple[str, ...]
    remarks: tuple[str, ...]


class OperatorToDamp:
    """An operator for which roots are chosen, with what is worth computing once only.

    Attributes
    ----------
    number : from 1
    title : what messages call it, such as "level 1"
    name : of its weight
    operator : Convolution
    spectrum : Spectrum or None
        None for a zero-padded operator that is too large for its eigenvalues.
    target : the part of it that is to be damped
    blocks : that its roots have to fit; None where the degree decides
    """

    def __init__(
        self,
        number: int,
        title: str,
        operator: Convolution,
        region: str = "all",
        blocks: tuple[str, ...] | None = None,
    ) -> None:
        self.number, self.title, self.name, self.operator = number, title, operator.name, operator
        self.blocks = blocks
        self.spectrum: Spectrum | None = None
        if operator.padding == "circular" or is_direct(operator):
            self.spectrum = eigenvalues_of(operator)
        with _naming(title):
            self.target = Target.of(self.spectrum or operator, region)
        self._best: dict[int, Minimax] = {}

    def choose(self, degree: int | None, strategy: str, options: Mapping[str, Any]) -> RootChoice:
        """Choose roots, as many as its blocks have where it has some; errors begin with the title."""
        with _naming(self.title):
            return choose_roots(self.target, degree if self.blocks is None else None, strategy, self.blocks, **options)

    def refit(self, choice: RootChoice, blocks: tuple[str, ...]) -> RootChoice:
        """Give chosen roots to other blocks."""
        if choice.blocks == blocks:
            return choice
        with _naming(self.title):
            fitted = fit(choice.roots.tolist(), blocks)
        return RootChoice.of(fitted, choice.strategy, choice.remarks)

    def diagnose(self, q: ResidualPolynomial) -> Diagnosis:
        """Diagnose a polynomial; what as many roots could reach is computed once."""
        if self.spectrum is None:
            return diagnose(q, self.target)
        count = min(len(q.roots), self.target.distinct)
        if count not in self._best:
            try:
                self._best[count] = minimax(self.target, count)
            except ConvergenceError:
                return diagnose(q, self.target)
        return diagnose(q, self.target, best=self._best[count])

    def report(self, choice: RootChoice) -> LevelReport:
        """Report a choice with its diagnosis."""
        factors = factors_from_roots(choice.blocks, choice.roots.tolist())
        blocks = [
            BlockReport(letter, factor.powers, pairs_of(factor.roots), factor.coefficients)
            for letter, factor in zip(choice.blocks, factors, strict=True)
        ]
        return self.report_blocks(blocks, ResidualPolynomial(choice.roots), choice.remarks)

    def report_blocks(
        self, blocks: Sequence[BlockReport], q: ResidualPolynomial, remarks: tuple[str, ...] = ()
    ) -> LevelReport:
        """Report blocks that make q, with its diagnosis."""
        diagnosis = self.diagnose(q)
        Lambda = self.spectrum
        return LevelReport(
            level=self.number,
            title=self.title,
            name=self.name,
            size=self.operator.size,
            channels=self.operator.c_out,
            radius=None if Lambda is None else Lambda.radius,
            min_real=None if Lambda is None else Lambda.min_real,
            max_real=None if Lambda is None else Lambda.max_real,
            max_imag=None if Lambda is None else Lambda.max_imag,
            blocks=tuple(blocks),
            alphas=tuple(q.alphas.tolist()) if len(q.roots) <= _READABLE else None,
            diagnosis=diagnosis,
            words=tuple(diagnosis.sentences()),
            remarks=remarks,
        )


def pairs_of(roots: Iterable[complex]) -> tuple[tuple[float, float], ...]:
    """Roots as (re, im)."""
    return tuple((z.real, z.imag) for z in roots)


def choose_for_all(
    operands: Sequence[OperatorToDamp],
    degree: int | None,
    strategy: str,
    options: Mapping[str, Any] | None = None,
) -> list[RootChoice]:
    """Choose roots for every operator, with the same blocks for all that have none of their own.

    Raises
    ------
    InputError
        If an operator has no roots, with its title.
    """
    choices = [operand.choose(degree, strategy, options or {}) for operand in operands]
    if any(operand.blocks is not None for operand in operands):
        return choices
    common = _common_blocks(choices)
    return [operand.refit(choice, common) for operand, choice in zip(operands, choices, strict=True)]


def _common_blocks(choices: Sequence[RootChoice]) -> tuple[str, ...]:
    """Blocks that hold the roots of every operator: R and C take two real roots as well as a conjugate pair."""
    sequences = {choice.blocks for choice in choices}
    if len(sequences) == 1:
        return choices[0].blocks
    count = len(choices[0].roots)
    singles = min(blocks.count("L") for blocks in sequences)
    return ("L",) * singles + ("C",) * ((count - singles) // 2)


@contextmanager
def _naming(title: str) -> Iterator[None]:
    """Begin the message of an InputError with the name of what it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{title}: {error}") from error
