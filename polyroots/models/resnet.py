"""The ResNets that multigrid networks are compared with, of torchvision's residual blocks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models.resnet import BasicBlock

from polyroots.models.config import ModelConfig
from polyroots.models.network import Images, Network
from polyroots.models.operator import Features
from polyroots.models.registry import RESNETS


class ResNet(Network):
    """ResNet with a 3x3 stem of stride 1; weights have torchvision's names.

    Parameters
    ----------
    config : ModelConfig
        Of a name in `polyroots.models.registry.RESNETS`.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016: Table 1 for ResNet18,
    section 4.2 for ResNet20, 32 and 44.
    """

    classifier = "fc"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        kind = RESNETS[config.name]
        channels = config.channels
        self.conv1 = nn.Conv2d(config.in_channels, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if config.max_pool else nn.Identity()
        fine = channels[0]
        for number, (depth, coarse) in enumerate(zip(kind.depths, channels, strict=True), 1):
            stride = 1 if number == 1 else 2
            shortcut = None
            if stride != 1 or fine != coarse:
                shortcut = _projection(fine, coarse, stride) if kind.is_projecting else Subsample(fine, coarse)
            first = BasicBlock(fine, coarse, stride, shortcut)
            others = (BasicBlock(coarse, coarse) for _ in range(depth - 1))
            self.add_module(f"layer{number}", nn.Sequential(first, *others))
            fine = coarse
        self.fc = nn.Linear(fine, config.num_classes)
        for module in self.modules():
            # There are no numbers to draw on the meta device, but torch would import its compiler to say so.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def resolutions(self) -> list[list[nn.Module]]:
        """The stages."""
        return [[self.get_submodule(f"layer{number}")] for number in range(1, len(self.config.channels) + 1)]

    def forward_features(self, x: Images) -> Features:
        """Return the features of the last stage."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for (stage,) in self.resolutions:
            x = stage(x)
        return x


class Subsample(nn.Module):
    """Shortcut without weights: every second pixel, and zeros for the new channels."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.missing = coarse - fine

    def forward(self, x: Float[Tensor, "batch fine H W"]) -> Float[Tensor, "batch coarse (H+1)//2 (W+1)//2"]:
        """Return the features; half of the new channels come before the old ones."""
        before = self.missing // 2
        return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.missing - before))


def _projection(fine: int, coarse: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(fine, coarse, 1, stride=stride, bias=False), nn.BatchNorm2d(coarse))
