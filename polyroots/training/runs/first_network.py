"""The network of a run before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from polyroots.checkpoints import Checkpoint
from polyroots.initialization import initialize
from polyroots.models import build
from polyroots.training.config import TrainConfig


def network_at_start(config: TrainConfig, start: Checkpoint | None) -> tuple[nn.Module, dict[str, Any] | None]:
    """Return the network of a run before its first step, and the report of its coefficients if it is known.

    Parameters
    ----------
    config : TrainConfig
    start : Checkpoint or None
        The network to start from; without it one is drawn by torch's global generator, which the caller seeds.

    Returns
    -------
    network : nn.Module
    report : dict or None
        `InitReport.to_dict` of its coefficients.
    """
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
