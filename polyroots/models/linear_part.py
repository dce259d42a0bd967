"""The linear part of a level in evaluation: batch norm is a diagonal scaling there, ReLU the identity or a gain."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from polyroots.errors import InputError
from polyroots.models.level import SmoothingLevel
from polyroots.models.network import MgNet
from polyroots.models.operator import ConvOperator
from polyroots.models.step import PolyStep

#: Gain of each channel of a ReLU.
Gains = Mapping[nn.Module, Float64[np.ndarray, "c"]]

_BatchNorm = nn.modules.batchnorm._BatchNorm
# Images that are run through the network at a time.
_BATCH = 128


@dataclass(frozen=True, eq=False)
class LinearStep:
    """Linear part of a step u <- output (u + update X rho r), X = sum_i alphas[i] B^powers[i].

    Attributes
    ----------
    A : ConvOperator
        The A that the residual is carried with.
    extractor : ConvOperator
        B: the same A in a polynomial, another convolution in a MgNet.
    powers : tuple of int
        0 or 1 each.
    alphas : tuple of float
    rho, update, output : (c,) float64 or None
        Diagonals; None for the identity.
    on_A_term : bool
        Whether the update is of the term with B alone.
    """

    A: ConvOperator
    extractor: ConvOperator
    powers: tuple[int, ...]
    alphas: tuple[float, ...]
    rho: Float64[np.ndarray, "c"] | None = None
    update: Float64[np.ndarray, "c"] | None = None
    output: Float64[np.ndarray, "c"] | None = None
    on_A_term: bool = False


def linear_steps(level: SmoothingLevel, names: Mapping[nn.Module, str], gains: Gains) -> tuple[LinearStep, ...]:
    """Return the linear parts of a level's steps; an output that is done once a level belongs to the last one.

    An output at the exit is left out: the residual is that of the features before it.

    Parameters
    ----------
    level : SmoothingLevel
    names : mapping
        Names of its modules, for messages.
    gains : mapping
        Gains of ReLUs; 1 for those without.

    Raises
    ------
    InputError
        If a batch norm has no statistics of data.
    """
    steps = []
    for step, A, extractor in zip(level.blocks, level.operators, level.extractors, strict=True):
        powers, alphas = step_polynomial(step)
        places: Any = step
        output = diagonal(places.output, names, gains)
        if step is level.blocks[-1] and not level.output_is_exit:
            output = _product(output, diagonal(level.output, names, gains))
        rho, update = (diagonal(place, names, gains) for place in (places.rho, places.update))
        steps.append(LinearStep(A, extractor, powers, alphas, rho, update, output, places.placement.on_A_term))
    return tuple(steps)


def plain_steps(level: SmoothingLevel) -> tuple[LinearStep, ...]:
    """Return the steps of a level as if every place were plain, so that the residual is multiplied by q(A)."""
    return tuple(
        LinearStep(A, extractor, *step_polynomial(step))
        for step, A, extractor in zip(level.blocks, level.operators, level.extractors, strict=True)
    )


def step_polynomial(step: nn.Module) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the powers and coefficients of a step's X."""
    return (step.powers, tuple(step.alphas.tolist())) if isinstance(step, PolyStep) else ((1,), (1.0,))


def diagonal(place: nn.Module, names: Mapping[nn.Module, str], gains: Gains) -> Float64[np.ndarray, "c"] | None:
    """Return the diagonal that a place multiplies differences of features by in evaluation; None for the identity."""
    found = None
    for module in place.children() if isinstance(place, nn.Sequential) else (place,):
        if isinstance(module, _BatchNorm):
            found = _product(found, _of_batch_norm(module, names[module]))
        elif isinstance(module, nn.ReLU):
            found = _product(found, gains.get(module))
        elif not isinstance(module, nn.Identity):
            raise InputError(
                f"{names[module]}: expected batch norm, ReLU or nothing in the place of a step, got a "
                f"{type(module).__name__}, whose linear part is unknown"
            )
    return found


def _of_batch_norm(module: _BatchNorm, name: str) -> Float64[np.ndarray, "c"]:
    """Return gamma / sqrt(variance + epsilon)."""
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        raise InputError(
            f"the batch norm {name} has no running statistics, so that what it does depends on each batch: expected "
            "track_running_stats=True"
        )
    if not mean.any() and bool((variance == 1).all()):
        raise InputError(
            f"the batch norm {name} still has mean 0 and variance 1, as it was made, and so no statistics of data: "
            "train the network, or load a trained checkpoint"
        )
    scaling = (variance.double() + module.eps).rsqrt()
    if module.affine:
        scaling = scaling * module.weight.detach().double()
    if not scaling.isfinite().all():
        raise InputError(
            f"the batch norm {name} has weights or statistics that are not finite; take an earlier checkpoint"
        )
    result: Float64[np.ndarray, "c"] = scaling.cpu().numpy()
    return result


def _product(a: Float64[np.ndarray, "c"] | None, b: Float64[np.ndarray, "c"] | None) -> Float64[np.ndarray, "c"] | None:
    return b if a is None else a if b is None else a * b


def relu_gains(network: MgNet, level: SmoothingLevel, images: Tensor) -> dict[nn.Module, Float64[np.ndarray, "c"]]:
    """Return for each ReLU of a level the share of positive inputs of each channel, over images and pixels.

    The network runs in evaluation mode; its modules keep their modes.
    """
    positive: dict[nn.Module, Tensor] = {}
    counts: dict[nn.Module, int] = {}

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        positive[module] = positive.get(module, 0) + (x > 0).sum(dim=(0, 2, 3))
        counts[module] = counts.get(module, 0) + x.numel() // x.shape[1]

    weight = next(network.parameters())
    with ExitStack() as stack, torch.no_grad():
        for module in network.modules():
            stack.callback(setattr, module, "training", module.training)
        for module in level.modules():
            if isinstance(module, nn.ReLU):
                stack.callback(module.register_forward_pre_hook(count).remove)
        network.eval()
        for batch in images.split(_BATCH):
            network(batch.to(weight.device, weight.dtype))
    return {module: (of_channels.double() / counts[module]).cpu().numpy() for module, of_channels in positive.items()}
