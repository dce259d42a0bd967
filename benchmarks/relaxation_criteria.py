"""Which weight w of relaxation several criteria choose for fresh networks, as a geometric mean over the levels.

Each criterion bounds a measure of the relaxed polynomial q_w on a level's operator; w is the largest weight on a grid,
from 1 downwards, that meets the bound. docs/results.md compares the weights with accuracies.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

import polyroots as pr
from polyroots.spectra import SymbolBlocks

# (blocks or name, placement, strategy, signs), as in studies/coefficients.toml.
NETWORKS = (
    ("q2", None, "extremal", "paper"),
    ("q4", None, "extremal", "placement"),
    ("q6", None, "extremal", "paper"),
    ("q8", None, "extremal", "paper"),
    ("C,C", "outside-bn", "leja", "paper"),
)
STEP = 2 ** (1 / 64)


@dataclass
class Level:
    """The symbol of a level's A, its eigenvalues, and the roots of each block."""

    blocks: np.ndarray
    eigenvalues: np.ndarray
    roots: Sequence[Sequence[complex]]

    def values(self, w: float) -> np.ndarray:
        """Return q_w at the eigenvalues."""
        product = np.ones_like(self.eigenvalues)
        for root in (root for own in self.roots for root in own):
            product = product * (1 - w * self.eigenvalues / root)
        return product

    def products(self, w: float) -> list[np.ndarray]:
        """Return the partial products of the blocks' factors."""
        identity = np.eye(self.blocks.shape[-1])
        product, found = np.broadcast_to(identity + 0j, self.blocks.shape), []
        for own in self.roots:
            for root in own:
                product = product @ (identity - w * self.blocks / root)
            found.append(product)
        return found


def largest_norm(level: Level, w: float) -> float:
    return max(float(np.linalg.norm(P, 2, axis=(-2, -1)).max()) for P in level.products(w))


def random_gain(level: Level, w: float) -> float:
    """Return the root mean square gain over random residuals, the Frobenius norm of the worst product."""
    return max(math.sqrt(float((np.abs(P) ** 2).sum()) / P.shape[0] / P.shape[-1]) for P in level.products(w))


def largest_value(level: Level, w: float) -> float:
    return float(np.abs(level.values(w)).max())


def mean_square(level: Level, w: float) -> float:
    return float((np.abs(level.values(w)) ** 2).mean())


CRITERIA: tuple[tuple[str, Callable[[Level, float], float], tuple[float, ...]], ...] = (
    ("norm of the partial products", largest_norm, (2, 1.5, 1.1)),
    ("max|q| on the spectrum", largest_value, (1.1, 1.01)),
    ("mean of |q|^2", mean_square, (1.1, 1.01)),
    ("gain over random residuals", random_gain, (1.05, 1.01)),
)


def levels_of(name: str, placement: str | None, strategy: str, signs: str, options: argparse.Namespace) -> list[Level]:
    torch.manual_seed(options.seed)
    settings = {} if placement is None else {"placement": placement}
    model = pr.models.build(name, scale=options.scale, **settings)
    report = pr.initialize(model, strategy=strategy, relax="none", signs=signs)
    weights = dict(model.named_parameters())
    found = []
    for level in report.levels:
        A = pr.Convolution.of(weights[level.name], level.size)
        symbol = SymbolBlocks(A)
        roots = [[complex(*np.atleast_1d(root)) for root in block.roots] for block in level.blocks]
        values = pr.eigenvalues(weights[level.name], level.size).values
        found.append(Level(symbol.stack(np.arange(len(symbol.ky))), values, roots))
    return found


def weight(measure: Callable[[Level, float], float], level: Level, bound: float) -> float:
    """Return the largest weight of the grid that meets the bound; a coarse grid is searched first."""
    coarse = 1.0
    while measure(level, coarse) > bound:
        coarse /= 2**0.25
    w = min(1.0, coarse * 2**0.25)
    while measure(level, w) > bound:
        w /= STEP
    return w


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--scale", type=float, default=0.25)
    options = parser.parse_args()
    networks = {
        name: levels_of(name, placement, strategy, signs, options) for name, placement, strategy, signs in NETWORKS
    }
    print(f"| criterion | {' | '.join(networks)} |\n| --- |{' ---: |' * len(networks)}")
    for what, measure, bounds in CRITERIA:
        for bound in bounds:
            means = [
                math.exp(np.mean([math.log(weight(measure, level, bound)) for level in levels]))
                for levels in networks.values()
            ]
            print(f"| {what} at most {bound:g} | {' | '.join(f'{w:.2g}' for w in means)} |", flush=True)


if __name__ == "__main__":
    main()
