"""Stochastic gradient descent, and how its rate changes."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import SGD

from polyroots.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> SGD:
    """SGD with weight decay on all but the coefficients alpha, unless the configuration decays these as well.

    Where batch norm follows a coefficient, its size has no effect, and decay would shrink it to nothing. Coefficients
    that are not trained are left out.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    alphas = [p for name, p in trained if name.endswith("alphas")]
    others = [p for name, p in trained if not name.endswith("alphas")]
    groups = [{"params": others, "weight_decay": config.weight_decay}]
    if alphas:
        groups.append({"params": alphas, "weight_decay": config.weight_decay if config.decay_alphas else 0.0})
    # Fused: one pass over the weights instead of five.
    return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True)


def rate_at(config: TrainConfig, step: int, steps: int) -> float:
    """Learning rate of a step, counted from 0 over all epochs of `steps` steps each.

    It rises in equal steps during the warm-up, to `config.lr`, and then falls to 0 along half a cosine, which it
    reaches with the step that would follow the last. Where it changes once an epoch, it is that of the epoch's first
    step.
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
