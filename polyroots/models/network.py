"""Poly-MgNet: stem, levels with a polynomial smoother each, global average, linear layer."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from polyroots.models.config import ModelConfig
from polyroots.models.level import Level, Transition


class PolyMgNet(nn.Module):
    """Poly-MgNet for images.

    Parameters
    ----------
    config : ModelConfig
        Of a name with blocks.

    References
    ----------
    A. van Betteray, M. Rottmann, K. Kahl, Poly-MgNet: Polynomial Building Blocks in Multigrid-Inspired ResNets,
    ICPRAM 2025, arXiv 2503.10594.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(config.in_channels, channels[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        self.levels = nn.ModuleList(Level(c, config.blocks, config.padding) for c in channels)
        self.transitions = nn.ModuleList(Transition(fine, coarse) for fine, coarse in pairwise(channels))
        self.head = nn.Linear(channels[-1], config.classes)

    def forward(self, x: Float[Tensor, "batch in_channels height width"]) -> Float[Tensor, "batch classes"]:
        """Return the logits of a batch of images."""
        u, r = None, self.stem(x)
        for level, transition in zip(self.levels, self.transitions, strict=False):
            u, r = transition(*level(u, r))
        u, _ = self.levels[-1](u, r, carry_residual=False)
        return self.head(u.mean(dim=(2, 3)))
