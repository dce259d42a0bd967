"""The network of a run before its first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from polyroots.checkpoints import Checkpoint
from polyroots.initialization import InitRequest, initialize, initialize_parts
from polyroots.models import build, network_of
from polyroots.training.config import TrainConfig


def network_at_start(
    config: TrainConfig,
    start: Checkpoint | None,
    given: nn.Module | None = None,
    example: Callable[[], Tensor] | None = None,
) -> tuple[nn.Module, dict[str, Any] | None]:
    """Return the network of a run before its first step, and the report of its coefficients if it is known.

    Parameters
    ----------
    config : TrainConfig
    start : Checkpoint or None
        The network to start from; without it one is drawn by torch's global generator, which the caller seeds.
    given : nn.Module, optional
        A network of the user's own, which gets the weights of `start`.
    example : callable, optional
        Returns inputs of a network of the user's own; by default black images of the configuration.

    Returns
    -------
    network : nn.Module
    report : dict or None
        `InitReport.to_dict` of its coefficients.
    """
    if config.model.is_own:
        model = network_of(config.model) if start is None else start.model(run_code=True, into=given)
        request = InitRequest(
            strategy=config.roots, alpha_init=config.alpha_init, relax=config.relax, signs=config.signs
        )
        inputs = torch.zeros(2, config.model.in_channels, *config.model.image_size) if example is None else example()
        found = initialize_parts(model, inputs, request, anew=False)
        return model, None if found is None else found.to_dict()
    if start is not None:
        # The report describes the coefficients unless they have been trained since they were set.
        training = start.training
        is_known = training is None or training.get("initialised", False) or _is_untouched(training)
        return start.model(), start.init if is_known else None
    model = build(config.model)
    if not config.model.is_polynomial:
        return model, None
    report = initialize(
        model, strategy=config.roots, alpha_init=config.alpha_init, relax=config.relax, signs=config.signs
    )
    return model, report.to_dict()


def _is_untouched(training: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was written before the first step."""
    return training.get("epoch") == 0 and training.get("step") == 0
