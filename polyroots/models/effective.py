"""The operator that a level of a trained network applies to its residual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Complex128, Float64, Inexact, Int
from torch import Tensor, nn

from polyroots.arguments import whole
from polyroots.display import Shown
from polyroots.errors import InputError, unknown_name
from polyroots.models.linear_part import LinearStep, linear_steps, plain_steps, relu_gains
from polyroots.models.network import MgNet
from polyroots.models.operator import ConvOperator
from polyroots.spectra import DENSE_LIMIT, LANES, PADDINGS, Convolution, eigvals, explicit_matrix
from polyroots.threads import half_chunks, in_threads

if TYPE_CHECKING:
    from rich.table import Table

Stack = Inexact[np.ndarray, "k n n"]


@dataclass(frozen=True, eq=False)
class EffectiveOperator(Shown):
    """The linear map by which a level multiplies its residual.

    Attributes
    ----------
    level : int
        Number of the level, from 1.
    size : (int, int)
        Grid (H, W) of the level.
    channels : int
    padding : ``"circular"`` or ``"zeros"``
        Boundary that it was computed with.
    values : (c H W,) complex128
        Eigenvalues; with circular padding frequency by frequency.
    norm : float
        Spectral norm, the largest factor by which the level multiplies the norm of a difference of residuals.
    feature_norm : float
        Norm of the map from the entering features to the leaving residual: 0 where no place follows the sum u + delta
        inside the level and all steps share one A.
    gains : mapping of str to (c,) float64
        Measured gains of each ReLU; empty for the linear part alone.

    See Also
    --------
    effective_operator
    """

    level: int
    size: tuple[int, int]
    channels: int
    padding: str
    values: Complex128[np.ndarray, "N"]
    norm: float
    feature_norm: float
    gains: Mapping[str, Float64[np.ndarray, "c"]] = field(default_factory=dict)

    @property
    def radius(self) -> float:
        """Spectral radius, the counterpart of max|q| on the spectrum of A."""
        return float(np.abs(self.values).max())

    @property
    def median(self) -> float:
        """Median modulus of the eigenvalues."""
        return float(np.median(np.abs(self.values)))

    def parts(self) -> list[str | Table]:
        """Return its numbers in a sentence."""
        H, W = self.size
        relu = "with the measured gains of ReLU" if self.gains else "ReLU as the identity"
        return [
            f"Level {self.level}, {self.channels} channels on {H}x{W} pixels, {self.padding} padding, {relu}: the "
            f"residual is multiplied by an operator of norm {self.norm:.4g} and spectral radius {self.radius:.4g}; "
            f"half of its {len(self.values):,} eigenvalues are below {self.median:.4g} in modulus."
        ]


def effective_operator(
    model: nn.Module,
    level: int,
    *,
    data: Any = None,
    nominal: bool = False,
    padding: str = "circular",
    workers: int | None = None,
) -> EffectiveOperator:
    r"""Return the operator that a level of a trained network applies to its residual, with spectrum and norm.

    In evaluation batch norm is a diagonal scaling by gamma / sqrt(variance + epsilon), and an offset. The linear part
    of a step u <- u + update(p(A) rho(r)) then is

    .. math:: r \leftarrow (I - A D_2\, p(A) D_1)\, r

    with the diagonals D_1 of rho and D_2 of update; an update of the A-term alone is of alpha1 A. A level's operator is
    the product of its steps. Where a place follows the sum u + delta, a step changes the features that were there
    before as well, and features and residual are carried through the level together; the operator then maps the
    residual that enters to the one that leaves, for given features that enter. ReLU counts as the identity, or with
    `data` as its mean slope.

    Parameters
    ----------
    model : nn.Module
        A Poly-MgNet or MgNet from `polyroots.models.build`, or one inside of a wrapper. Not modified.
    level : int
        From 1, the finest.
    data : (N, in_channels, H, W) tensor or array, floating, optional
        Images as the network takes them, normalised. A ReLU then counts as a diagonal too: for each channel, the
        share of its inputs, over images and pixels, that are positive. That is the mean of its derivative, and for
        normally distributed inputs the slope of the best linear fit.
    nominal : bool
        Leave out batch norm and ReLU: the operator q(A) that the roots of the coefficients stand for, where the steps
        share one A.
    padding : ``"circular"`` or ``"zeros"``
        Circular padding computes it through the symbol, as one c x c matrix at each frequency, whatever padding the
        network has; zeros through the explicit matrix, with at most 4,096 unknowns.
    workers : int, optional
        Threads; by default one for each core that this process may use.

    Returns
    -------
    EffectiveOperator

    Raises
    ------
    InputError
        If the model is no such network or has no such level, a batch norm in the level has not seen data, weights are
        not finite, or images don't fit.

    See Also
    --------
    polyroots.residual_norm : the norm of q(A)
    polyroots.models.inert_coefficients : coefficients whose nominal roots mean nothing in training

    References
    ----------
    The share of positive inputs as a gain: J. J. Bussgang, Crosscorrelation functions of amplitude-distorted Gaussian
    signals, MIT Research Laboratory of Electronics, Technical Report 216 (1952).

    Examples
    --------
    Without batch norm between residual and features it is q(A):

    >>> import polyroots as pr
    >>> model = pr.models.build("C,C", channels=[4], image_size=8, placement="smoother")
    >>> report = pr.initialize(model)
    >>> applied = effective_operator(model, 1)
    >>> abs(applied.norm / report.levels[0].diagnosis.norm - 1) < 1e-6
    True
    """
    network = _network(model)
    index = network.config.level_index(whole(level, "level"))
    if padding not in PADDINGS:
        raise unknown_name("padding", str(padding), PADDINGS)
    if nominal and data is not None:
        raise InputError("the nominal operator has no ReLU, so that data has no effect; leave data or nominal out")
    chosen, names = network.smoothing_levels[index], {module: name for name, module in network.named_modules()}
    gains = {} if data is None else relu_gains(network, chosen, _images(data, network))
    steps = plain_steps(chosen) if nominal else linear_steps(chosen, names, gains)
    size = network.config.sizes[index]
    problem = _Problem(steps, size, padding, names, f"level {level}")
    values, norm, feature_norm = problem.solve(workers)
    return EffectiveOperator(
        level,
        size,
        network.config.channels[index],
        padding,
        values,
        norm,
        feature_norm,
        {names[module]: of_channels for module, of_channels in gains.items()},
    )


def _network(model: Any) -> MgNet:
    """Return the network with levels that a model is or wraps."""
    found = (
        next((module for module in model.modules() if isinstance(module, MgNet)), None)
        if isinstance(model, nn.Module)
        else None
    )
    if found is None:
        raise InputError(
            f"expected a network with levels from polyroots.models.build, such as q4, got a {type(model).__name__}"
        )
    return found


def _images(data: Any, network: MgNet) -> Tensor:
    """Return images as a tensor, or raise InputError."""
    expected = (network.config.in_channels, *network.config.image_size)
    images = torch.as_tensor(data)
    if images.ndim != 4 or tuple(images.shape[1:]) != expected or not len(images):
        shape = ", ".join(map(str, expected))
        raise InputError(f"data: expected images of shape (N, {shape}), N at least 1, got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise InputError(
            f"data: expected floating-point images, normalised as for the training, got {images.dtype}; "
            "convert and normalise them"
        )
    if not images.isfinite().all():
        raise InputError("data: expected finite images, got infinity or NaN")
    return images


class _Problem:
    """Linear steps on a grid: the maps from the entering residual and features to the leaving residual."""

    def __init__(
        self,
        steps: Sequence[LinearStep],
        size: tuple[int, int],
        padding: str,
        names: Mapping[nn.Module, str],
        title: str,
    ) -> None:
        self.steps, self.padding, self.title = steps, padding, title
        # The maps at a frequency have a row for each channel, explicit matrices one for each pixel of a channel.
        self.pixels = math.prod(size) if padding == "zeros" else 1
        modules = dict.fromkeys(module for step in steps for module in (step.A, step.extractor))
        self.convolutions = {
            module: Convolution.of(module.weight, size, padding=padding, name=f"{names[module]}.weight")
            for module in modules
        }
        first = self.convolutions[steps[0].A]
        if padding == "zeros" and first.shape[0] > DENSE_LIMIT:
            raise InputError(
                f"{title}: with zero padding its operator is computed as a matrix, expected at most {DENSE_LIMIT:,} "
                f"unknowns, got {first.shape[0]:,} (channels times pixels); take padding 'circular'",
                fields=["padding"],
            )
        self.has_features = any(step.output is not None for step in steps) or any(
            step.A is not steps[0].A for step in steps
        )

    def solve(self, workers: int | None) -> tuple[Complex128[np.ndarray, "N"], float, float]:
        """Return eigenvalues and norm of the map of the residual, and the norm of the map of the features."""
        if self.padding == "zeros":
            stacks = {module: explicit_matrix(A)[None] for module, A in self.convolutions.items()}
            values, norm, feature_norm = self._decompose(stacks)
            return values.reshape(-1), norm, feature_norm
        A = self.convolutions[self.steps[0].A]
        ky, kx, partner = A.one_period()
        found = np.empty((len(partner), A.c_in), dtype=np.complex128)
        norms = []

        def solve(chosen: Int[np.ndarray, "F"]) -> None:
            # The symbol is real at frequencies that are their own conjugates.
            is_real = bool((partner[chosen] == chosen).all())
            stacks = {}
            for module, convolution in self.convolutions.items():
                symbols = convolution.symbol_at(ky[chosen], kx[chosen])[:, 0]
                stacks[module] = symbols.real if is_real else symbols
            values, *of_maps = self._decompose(stacks)
            found[partner[chosen]] = values.conj()
            found[chosen] = values
            norms.append(of_maps)

        in_threads(solve, half_chunks(partner, (1, A.c_in, A.c_in), workers, LANES), workers)
        norm, feature_norm = np.max(norms, axis=0).tolist()
        return found.reshape(-1), norm, feature_norm

    def _decompose(self, stacks: Mapping[ConvOperator, Stack]) -> tuple[Complex128[np.ndarray, "k n"], float, float]:
        identity = np.broadcast_to(np.eye(stacks[self.steps[0].A].shape[-1]), stacks[self.steps[0].A].shape)
        zero = np.zeros_like(stacks[self.steps[0].A])
        with np.errstate(over="ignore", invalid="ignore"):
            of_residual = self._residual(stacks, zero, identity)
            of_features = self._residual(stacks, identity, zero) if self.has_features else zero
        if not (np.isfinite(of_residual).all() and np.isfinite(of_features).all()):
            raise InputError(f"{self.title}: its operator overflows float64; its weights or coefficients are too large")
        values = eigvals(of_residual).astype(np.complex128)
        return values, _largest_norm(of_residual), _largest_norm(of_features) if self.has_features else 0.0

    def _residual(self, stacks: Mapping[ConvOperator, Stack], u: Stack, r: Stack) -> Stack:
        """Return the residual that leaves, from features and residual that enter."""
        f = r + stacks[self.steps[0].A] @ u
        for step, following in zip(self.steps, [*self.steps[1:], self.steps[-1]], strict=True):
            A, next_A = stacks[step.A], stacks[following.A]
            delta = self._delta(step, stacks[step.extractor], r)
            u = self._scaled(step.output, u + delta)
            r = r - A @ delta if step.output is None and next_A is A else f - next_A @ u
        return r

    def _delta(self, step: LinearStep, extractor: Stack, r: Stack) -> Stack:
        s = self._scaled(step.rho, r)
        terms = [alpha * (extractor @ s if power else s) for power, alpha in zip(step.powers, step.alphas, strict=True)]
        if step.on_A_term:
            return terms[0] + self._scaled(step.update, terms[1])
        return self._scaled(step.update, sum(terms[1:], terms[0]))

    def _scaled(self, diagonal: Float64[np.ndarray, "c"] | None, stack: Stack) -> Stack:
        """Multiply by a diagonal, whose entries belong to the channels."""
        return stack if diagonal is None else np.repeat(diagonal, self.pixels)[:, None] * stack


def _largest_norm(stack: Stack) -> float:
    return float(np.linalg.svd(stack, compute_uv=False)[:, 0].max())
