"""Weights, applications of A and multiply-adds of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from polyroots.models.build import build, count_weights
from polyroots.models.config import ModelConfig, model_config
from polyroots.models.inert import Inert, coefficient_count, inert_coefficients


@dataclass(frozen=True)
class Cost:
    """Size of a network, and its work on one image.

    Attributes
    ----------
    weights : int
        Number of trained weights.
    level_weights : tuple of int
        Of each level or stage, with restriction and prolongation from the finer one.
    applications : int or None
        Applications of the convolutions A; None for a ResNet.
    multiply_adds : int
        Of all convolutions and linear layers.
    coefficients : int
        Number of coefficients alpha.
    inert : tuple of Inert
        Coefficients whose size has no effect.
    """

    weights: int
    level_weights: tuple[int, ...]
    applications: int | None
    multiply_adds: int
    coefficients: int
    inert: tuple[Inert, ...]


def cost(name: str | ModelConfig, **config: Any) -> Cost:
    """Return the size of a network and its work on one image, by a forward pass on the meta device.

    Parameters
    ----------
    name : str or ModelConfig
    **config
        See `build`.

    Returns
    -------
    Cost

    Raises
    ------
    InputError
        If the name is unknown or a field doesn't fit.

    Examples
    --------
    >>> cost("q2", image_size=28).applications
    7
    """
    # It imports triton, which takes longer than all of polyroots.
    from torch.utils.flop_counter import FlopCounterMode

    complete = name if isinstance(name, ModelConfig) else model_config(name, **config)
    with torch.device("meta"):
        model = build(complete)
        images = torch.empty(1, complete.in_channels, *complete.image_size)
    applied = 0

    def count(*_: object) -> None:
        nonlocal applied
        applied += 1

    for operator in model.operators:
        operator.register_forward_hook(count)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(images)
    return Cost(
        weights=count_weights(model),
        level_weights=tuple(sum(count_weights(part) for part in parts) for parts in model.resolutions),
        applications=None if complete.is_resnet else applied,
        # The counter takes a multiplication and an addition as two operations.
        multiply_adds=counter.get_total_flops() // 2,
        coefficients=coefficient_count(model),
        inert=tuple(inert_coefficients(model)),
    )
