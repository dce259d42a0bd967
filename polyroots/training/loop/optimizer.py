"""Stochastic gradient descent and its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import SGD

from polyroots.errors import InputError
from polyroots.models import PolyStep
from polyroots.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> SGD:
    """Return SGD with weight decay on all weights but the coefficients alpha.

    Batch norm after a block cancels the size of its coefficients, so that decay would shrink them to zero; with
    `config.decay_alphas` they are decayed all the same. Coefficients that are not trained are left out.

    Parameters
    ----------
    model : nn.Module
    config : TrainConfig

    Returns
    -------
    torch.optim.SGD

    Examples
    --------
    >>> import polyroots as pr
    >>> model = pr.models.build("q2", image_size=8, in_channels=1, channels=[4])
    >>> optimizer = make_optimizer(model, pr.training.train_config("digits", model.config))
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.0001, 0.0]
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise InputError(f"a {type(model).__name__} has no weights that are trained")
    of_steps = {id(module.alphas) for module in model.modules() if isinstance(module, PolyStep)}
    alphas = [p for p in trained if id(p) in of_steps]
    others = [p for p in trained if id(p) not in of_steps]
    groups = [{"params": others, "weight_decay": config.weight_decay}]
    if alphas:
        groups.append({"params": alphas, "weight_decay": config.weight_decay if config.decay_alphas else 0.0})
    # The fused version passes over the weights once instead of five times.
    return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True)


def rate_at(config: TrainConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0 over all epochs of `steps` steps each.

    The rate rises in equal steps to `config.lr` during the warm-up, and then falls along half a cosine, which would
    reach 0 in the step after the last. A rate that changes once an epoch is that of the epoch's first step.
    """
    if config.schedule == "epoch":
        step -= step % steps
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    along = (step - warmup) / (config.epochs * steps - warmup)
    return config.lr * (1 + math.cos(math.pi * along)) / 2


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate
