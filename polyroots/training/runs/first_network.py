"""The network that training begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from polyroots.checkpoints import Checkpoint
from polyroots.initialization import initialize
from polyroots.models import build
from polyroots.training.config import TrainConfig


def network_at_start(config: TrainConfig, start: Checkpoint | None) -> tuple[nn.Module, dict[str, Any] | None]:
    """Return a run's first network, and the report of its coefficients if it is known.

    Parameters
    ----------
    config : TrainConfig
    start : Checkpoint or None
        The network to start from; otherwise one is drawn with torch's global generator, which the caller seeds.
    """
    if start is not None:
        # Once trained, coefficients are no longer those of the report, unless they were set anew.
        training = start.training
        is_known = training is None or training.get("initialised", False) or _is_untouched(training)
        return start.model(), start.init if is_known else None
    model = build(config.model)
    if not config.model.is_polynomial:
        return model, None
    return model, initialize(model, strategy=config.roots, alpha_init=config.alpha_init).to_dict()


def _is_untouched(training: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is one from before the first step."""
    return training.get("epoch") == 0 and training.get("step") == 0
