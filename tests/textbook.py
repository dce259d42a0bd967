"""The networks by the formulas of the papers, with the residual f - A u computed anew for every step and transition."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad

from polyroots.models import PolyStep


def convolve(conv: nn.Conv2d, u: Tensor) -> Tensor:
    """Return A u, or B u."""
    if conv.padding_mode == "circular":
        return conv2d(pad(u, (1, 1, 1, 1), mode="circular"), conv.weight)
    return conv2d(u, conv.weight, padding=1)


def level_steps(level: Any, f: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features and the residual that leave a level, from f and u."""
    for k, block in enumerate(level.blocks):
        A = level.operators[k]
        s = block.rho(f - convolve(A, u))
        if not isinstance(block, PolyStep):
            delta = block.update(convolve(level.extractors[k], s))
        elif block.placement.on_A_term:
            alpha0, alpha1 = block.alphas
            delta = alpha0 * s - block.update(-alpha1 * convolve(A, s))
        else:
            terms = [
                alpha * (convolve(A, s) if power else s)
                for power, alpha in zip(block.powers, block.alphas, strict=True)
            ]
            delta = block.update(sum(terms[1:], terms[0]))
        u = block.output(u + delta)
    if level.output_is_exit:
        return level.output(u), f - convolve(A, u)
    u = level.output(u)
    return u, f - convolve(A, u)


def textbook(model: Any, x: Tensor) -> Tensor:
    """Return the logits of a Poly-MgNet or MgNet."""
    f = model.stem(x)
    u = torch.zeros_like(f)
    for index, level in enumerate(model.levels):
        u, r = level_steps(level, f, u)
        if index + 1 < len(model.levels):
            transition, coarser = model.transitions[index], model.levels[index + 1]
            if model.config.has_full_transitions:
                u = transition.after_Pi(transition.Pi(u))
                restricted = transition.after_R(transition.R(r))
            else:
                u = transition.Pi(u)
                restricted = transition.R(torch.relu(r))
            f = restricted + convolve(coarser.operators[0], u)
    return model.head(u.mean(dim=(2, 3)))


def resnet(model: Any, x: Tensor) -> Tensor:
    """Return the logits of a ResNet of any depth, each block written out; shortcuts without weights are option A."""
    x = torch.relu(model.bn1(model.conv1(x)))
    if model.config.max_pool:
        x = max_pool2d(x, 3, stride=2, padding=1)
    for (stage,) in model.resolutions:
        for block in stage:
            stride = block.conv1.stride
            y = block.bn2(conv2d(torch.relu(block.bn1(block.conv1(x))), block.conv2.weight, padding=1))
            if y.shape != x.shape:
                if isinstance(block.downsample, nn.Sequential):
                    conv, bn = cast(Any, block.downsample)
                    x = bn(conv2d(x, conv.weight, stride=stride))
                else:
                    x = x[:, :, ::2, ::2]
                    missing = y.shape[1] - x.shape[1]
                    zeros = [x.new_zeros(len(x), c, *x.shape[2:]) for c in (missing // 2, missing - missing // 2)]
                    x = torch.cat([zeros[0], x, zeros[1]], dim=1)
            x = torch.relu(x + y)
    return model.fc(x.flatten(2).mean(2))
