"""Statistics of batch norm over a number of batches, for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from jaxtyping import Float
from torch import Tensor, nn

_BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def recalibrate(
    model: nn.Module,
    batches: Iterable[Float[Tensor, "batch C H W"]],
    total: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]] = lambda sums: sums,
) -> None:
    """Set the running statistics of batch norm to the mean and variance over all batches together.

    Parameters
    ----------
    model : nn.Module
        A network in training or evaluation mode. Its weights, its mode and its momenta stay.
    batches : iterable of (N, C, H, W) tensors
        Normalised images on the network's device. While they are run, each batch is normalised by its own statistics,
        as in training.
    total : callable, optional
        Sums a tensor over all processes.

    Notes
    -----
    In training, the running statistics are exponential means, which lag behind weights that move fast. [1]_

    References
    ----------
    .. [1] Y. Wu and J. Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3 (PreciseBN).
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    was_training = model.training
    # Number of values of a channel, their sum and the sum of their squares. The squares are added in float64: their
    # difference from the mean's square would lose digits in float32.
    sums = {layer: torch.zeros(3, layer.num_features, dtype=torch.float64) for layer in layers}

    def add(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].float()
        count = values.numel() // values.shape[1]
        variance, mean = (statistic.double().cpu() for statistic in torch.var_mean(values, dim=(0, 2, 3), correction=0))
        sums[layer] += torch.stack([torch.full_like(mean, count), count * mean, count * (variance + mean**2)])

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_pre_hook(add).remove)
            stack.callback(_restore, layer, layer.momentum, layer.num_batches_tracked.clone())
            layer.momentum = 0.0
        stack.callback(model.train, was_training)
        model.train()
        for images in batches:
            model(images)
    for layer in layers:
        count, first, second = total(sums[layer])
        mean = first / count
        layer.running_mean.copy_(mean)
        # The unbiased variance, as in training.
        layer.running_var.copy_((second / count - mean**2).clamp(min=0) * count / (count - 1))


def _restore(layer: nn.Module, momentum: float | None, tracked: Tensor) -> None:
    """Restore what a forward pass in training mode depends on or changes."""
    assert isinstance(layer, _BatchNorm)
    layer.momentum = momentum
    layer.num_batches_tracked.copy_(tracked)
