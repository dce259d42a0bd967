"""Weights, applications of A and multiply-adds of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polyroots.models.build import build_for_shapes, count_weights
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
    """Return the size of a network and its work on one image, by a forward pass without images.

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
    complete = name if isinstance(name, ModelConfig) else model_config(name, **config)
    model, no_images = build_for_shapes(complete)
    applied: dict[nn.Module, int] = {}
    multiply_adds = 0

    def count(layer: nn.Conv2d | nn.Linear, _: object, result: Tensor) -> None:
        nonlocal multiply_adds
        # Each number of the result is a sum over the weights of one output channel.
        multiply_adds += layer.weight.numel() * math.prod(result.shape[2:])
        applied[layer] = applied.get(layer, 0) + 1

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(no_images)
    return Cost(
        weights=count_weights(model),
        level_weights=tuple(sum(count_weights(part) for part in parts) for parts in model.resolutions),
        applications=None if complete.is_resnet else sum(applied.get(operator, 0) for operator in model.operators),
        multiply_adds=multiply_adds,
        coefficients=coefficient_count(model),
        inert=tuple(inert_coefficients(model)),
    )
