"""The steps of a level: an update of the features from the residual."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from polyroots.errors import InputError
from polyroots.models.operator import ConvOperator, Features
from polyroots.models.placement import Placement, make_place
from polyroots.polynomials import BLOCKS

#: Whether the coefficients of a polynomial are trained.
Alphas = Literal["trained", "fixed"]


class Step(nn.Module, ABC):
    """A step u <- output(u + delta), delta = update(X rho(r)), X a polynomial in A or a convolution B.

    Parameters
    ----------
    channels : int
    placement : Placement
        An output that is done once a level belongs to the level, and the step leaves it out.
    """

    def __init__(self, channels: int, placement: Placement) -> None:
        super().__init__()
        self.placement = placement
        self.rho = make_place(placement.rho, channels)
        self.update = make_place(placement.update, channels)
        self.output = make_place(placement.output if placement.where == "step" else "plain", channels)

    @property
    def is_additive(self) -> bool:
        """Whether the step changes u by delta alone."""
        return isinstance(self.output, nn.Identity)

    @property
    def applies_A(self) -> bool:
        """Whether the step applies A to the residual."""
        return False

    @abstractmethod
    def delta(self, operator: ConvOperator, r: Features) -> Features:
        """Return the update of u from the residual r."""

    def forward(self, operator: ConvOperator, u: Features | None, r: Features) -> tuple[Features, Features]:
        """Return the new features, and delta.

        Parameters
        ----------
        operator : ConvOperator
            A of a `PolyStep`, B of an `ExtractorStep`.
        u : features; None stands for zero and costs nothing
        r : residual f - A u

        Returns
        -------
        u, delta : (batch, channels, height, width)
        """
        delta = self.delta(operator, r)
        return self.output(delta if u is None else u + delta), delta


class PolyStep(Step):
    """A step with a polynomial smoother: delta = update(p(A) rho(r)).

    Parameters
    ----------
    letter : str
        ``"L"``, ``"R"``, ``"S"`` or ``"C"``: decides the powers of A in p.
    channels : int
    placement : Placement
    alphas : "trained" or "fixed"
        Whether the coefficients are trained, or stay as they are set.

    Attributes
    ----------
    alphas : (number of powers,) parameter
        Coefficients of p, unconstrained; 1 and then zeros until they are set.
    """

    def __init__(self, letter: str, channels: int, placement: Placement, alphas: Alphas = "trained") -> None:
        super().__init__(channels, placement)
        self.letter = letter
        self.powers = BLOCKS[letter].powers
        # Not torch.eye, for which torch imports its compiler where the network is built on the meta device.
        first = torch.tensor([1.0] + [0.0] * (len(self.powers) - 1))
        self.alphas = nn.Parameter(first, requires_grad=alphas == "trained")

    @property
    def applies_A(self) -> bool:
        """Whether p has a power of A."""
        return max(self.powers) > 0

    def set_alphas(self, coefficients: Sequence[float]) -> None:
        """Set the coefficients of p, in the order of `powers`.

        Raises
        ------
        InputError
            If one is not finite in the precision of the network.
        """
        alphas = torch.tensor(coefficients, dtype=torch.float64, device="cpu").to(self.alphas.dtype)
        if not alphas.isfinite().all():
            raise InputError(
                f"coefficients {', '.join(f'{c:.3g}' for c in coefficients)} of block {self.letter} are beyond "
                f"{alphas.dtype}: the roots are too near to zero; scale the weights of A up"
            )
        with torch.no_grad():
            self.alphas.copy_(alphas)

    def delta(self, operator: ConvOperator, r: Features) -> Features:
        """Return update(p(A) rho(r))."""
        A, first, last = operator, self.alphas[0], self.alphas[-1]
        if self.letter == "L":
            return self.update(self._scaled_rho(first, r))
        s = self.rho(r)
        if self.letter == "S":
            return self.update(A(s, scale=last))
        if self.placement.on_A_term:
            # The paper's (2 a - place(A)) / (a^2 + b^2): the subtracted term has the positive coefficient -alpha1.
            return first * s - self.update(A(s, scale=-last))
        return self.update(A(s, scale=last, shift=first))

    def _scaled_rho(self, alpha: Tensor, r: Features) -> Features:
        """Alpha rho(r); batch norm takes alpha into its own factor, which saves three passes over the features."""
        if not isinstance(self.rho, nn.BatchNorm2d):
            return alpha * self.rho(r)
        scaled = {"weight": alpha * self.rho.weight, "bias": alpha * self.rho.bias}
        result: Tensor = functional_call(self.rho, scaled, (r,))
        return result

    def extra_repr(self) -> str:
        """Return the description in ``repr(module)``."""
        return f"{self.letter}, powers={self.powers}, {self.placement}"


class ExtractorStep(Step):
    """MgNet's step with a feature extractor B: delta = update(B rho(r))."""

    def delta(self, operator: ConvOperator, r: Features) -> Features:
        """Return update(B rho(r))."""
        return self.update(operator(self.rho(r)))

    def extra_repr(self) -> str:
        """Return the description in ``repr(module)``."""
        return str(self.placement)
