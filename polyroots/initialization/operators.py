"""Roots for each of several operators: the levels of a network, or the layers of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polyroots.checkpoints import read_matrix
from polyroots.errors import ConvergenceError, InputError
from polyroots.initialization.request import InitRequest
from polyroots.polynomials import (
    CERTIFICATES,
    Diagnosis,
    Minimax,
    ResidualPolynomial,
    Target,
    TwoGrid,
    diagnose,
    minimax,
    two_grid,
)
from polyroots.roots import NOT_RELAXED, Relaxation, RootChoice, choose_roots, fit
from polyroots.spectra import (
    Convolution,
    GeneralOperator,
    OperatorSpectrum,
    Spectrum,
    as_operator,
    eigenvalues_of,
    is_direct,
    operator_eigenvalues,
)


class OperatorToDamp:
    """An operator for which roots are chosen; its spectrum and the best possible max|q| are computed once.

    Parameters
    ----------
    number : int
        Of the level or layer, from 1.
    title : str
        Name in messages, such as ``"level 1"``.
    convolution : Convolution or GeneralOperator
        The operator.
    region : ``"all"`` or ``"high"``
        The part of the spectrum that is to be damped.
    blocks : tuple of str, optional
        Blocks that the roots have to fit; by default the degree alone decides how many there are.
    positive : tuple of bool
        For each block whether it is an L that needs a positive root.

    Attributes
    ----------
    name : str
        Name of the weight.
    spectrum : Spectrum, OperatorSpectrum or None
        None for a zero-padded operator that is too large for its eigenvalues.
    target : Target
        The part of the spectrum that is to be damped.

    Raises
    ------
    InputError
        If there is nothing to damp; the message begins with the title.
    """

    def __init__(
        self,
        number: int,
        title: str,
        convolution: Convolution | GeneralOperator,
        region: str = "all",
        blocks: tuple[str, ...] | None = None,
        positive: tuple[bool, ...] = (),
    ) -> None:
        self.positive = positive
        self.number, self.title, self.name, self.convolution = number, title, convolution.name, convolution
        self.blocks = blocks
        self.spectrum: Spectrum | OperatorSpectrum | None = None
        if isinstance(convolution, GeneralOperator):
            with _naming(title):
                self.spectrum = operator_eigenvalues(convolution)
        elif convolution.padding == "circular" or is_direct(convolution):
            self.spectrum = eigenvalues_of(convolution)
        with _naming(title):
            self.target = Target.of(self.spectrum or convolution, region)
        self._best: dict[int, Minimax] = {}

    @property
    def padding(self) -> str:
        """``"circular"`` or ``"zeros"``; ``"none"`` for a matrix."""
        return "none" if isinstance(self.convolution, GeneralOperator) else self.convolution.padding

    @property
    def size(self) -> tuple[int, int]:
        """The grid (H, W); rows and columns of a matrix."""
        return self.convolution.shape if isinstance(self.convolution, GeneralOperator) else self.convolution.size

    @property
    def channels(self) -> int:
        """Number of channels; 1 for a matrix."""
        return 1 if isinstance(self.convolution, GeneralOperator) else self.convolution.c_out

    @property
    def dimensions(self) -> str:
        """The shape of the kernel and its grid, or of the matrix, as text."""
        if isinstance(self.convolution, GeneralOperator):
            return f"{self.size[0]:,} x {self.size[1]:,}"
        kernel, grid = ("x".join(map(str, sizes)) for sizes in (self.convolution.weight.shape, self.size))
        return f"{kernel} at {grid}"

    def choose(self, degree: int | None, strategy: str, options: Mapping[str, Any]) -> RootChoice:
        """Choose as many roots as the blocks have, or degree + 1 without blocks."""
        with _naming(self.title):
            own = degree if self.blocks is None else None
            return choose_roots(self.target, own, strategy, self.blocks, positive=self.positive, **options)

    def refit(self, choice: RootChoice, blocks: tuple[str, ...]) -> RootChoice:
        """Return the same roots in the order of other blocks."""
        if choice.blocks == blocks:
            return choice
        with _naming(self.title):
            fitted = fit(choice.roots.tolist(), blocks)
        return RootChoice.of(fitted, choice.strategy, choice.remarks)

    def relax(self, choice: RootChoice, relaxation: Relaxation) -> RootChoice:
        """Return the choice with its roots moved along their rays."""
        with _naming(self.title):
            return choice.relaxed(relaxation, self.target)

    def norm(self, q: ResidualPolynomial) -> float | None:
        """Return the norm of q(A); None if its computation fails."""
        if not self.target.has_norm:
            return None
        try:
            return self.target.norms.of(q)
        except ConvergenceError:
            return None

    def two_grid(self, q: ResidualPolynomial, steps: tuple[int, int], R: Any, P: Any, coarse: Any) -> TwoGrid:
        """Return the two-grid analysis of q; the message of an InputError begins with the title."""
        with _naming(self.title):
            if isinstance(self.convolution, GeneralOperator):
                raise InputError("two-grid analysis needs a convolution, got a matrix", fields=("two_grid",))
            return two_grid(self.convolution, R, P, coarse, q, pre=steps[0], post=steps[1])

    def diagnose(self, q: ResidualPolynomial, strategy: str | None = None) -> Diagnosis:
        """Return the diagnosis of q, with the best max|q| of as many roots where it can be computed.

        With the strategy that chose its roots it has the certificate of this strategy, if there is one.
        """
        certificates = [strategy] if strategy in CERTIFICATES else []
        if self.spectrum is None:
            return diagnose(q, self.target, certificates=certificates)
        count = min(len(q.roots), self.target.distinct)
        if count not in self._best:
            try:
                self._best[count] = minimax(self.target, count)
            except ConvergenceError:
                return diagnose(q, self.target, certificates=certificates)
        return diagnose(q, self.target, best=self._best[count], certificates=certificates)


def matrix_to_damp(path: str | Path, request: InitRequest) -> OperatorToDamp:
    """Return the operator of the matrix in a file.

    Raises
    ------
    FileError, InputError
        If the file is damaged, or the matrix is not square or not finite.
    """
    operator = as_operator(read_matrix(path), name=str(path))
    return OperatorToDamp(1, Path(path).name, operator, request.region, request.blocks)


def choose_for_all(
    operators: Sequence[OperatorToDamp],
    degree: int | None,
    strategy: str,
    options: Mapping[str, Any] | None = None,
    relaxation: Relaxation = NOT_RELAXED,
) -> list[RootChoice]:
    """Choose roots for every operator; operators without blocks of their own all get the same block sequence.

    Parameters
    ----------
    operators : sequence of OperatorToDamp
    degree : int or None
        Degree of operators without blocks; 3 if it is None.
    strategy : str
        A name in `polyroots.roots.STRATEGIES`.
    options : mapping, optional
        Options of the strategy.
    relaxation : Relaxation, optional
        Of the roots of each operator by itself.

    Returns
    -------
    list of RootChoice
        One for each operator, in their order.

    Raises
    ------
    InputError
        If there are no roots for an operator; the message begins with its title.
    """
    choices = [operator.choose(degree, strategy, options or {}) for operator in operators]
    if all(operator.blocks is None for operator in operators):
        common = _common_blocks(choices)
        choices = [operator.refit(choice, common) for operator, choice in zip(operators, choices, strict=True)]
    # The order of the blocks is known now, and with it the partial products.
    return [operator.relax(choice, relaxation) for operator, choice in zip(operators, choices, strict=True)]


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
    """Put the operator's title before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{title}: {error}", fields=error.fields) from error
