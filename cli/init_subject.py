"""What ``polyroots init`` chooses roots for: a drawn network, a network from a file, or the layers of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from polyroots.checkpoint import load_checkpoint, read_layers
from polyroots.errors import InputError
from polyroots.initialization import operands_of, polynomials_of, require_polynomial
from polyroots.layers import why_no_eigenvalues
from polyroots.levels import Operand
from polyroots.models import PolyMgNet, build
from polyroots.models.config import blocks_of, name_for_blocks

from .console import dimensions

if TYPE_CHECKING:
    from polyroots.models import ModelConfig
    from polyroots.polynomial import ResidualPolynomial

#: Called with (operators done, operators).
OnOperand = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Subject:
    """Operators, and the network that their roots are for.

    Attributes
    ----------
    title : what it is, for the heading
    operands : the operators
    blocks : that the roots are to fit; None where the roots decide
    network : None for layers, whose coefficients can't be set
    seed : of a drawn network; None for one from a file
    skipped : name -> why, of layers left out
    """

    title: str
    operands: list[Operand]
    blocks: tuple[str, ...] | None
    network: PolyMgNet | None
    seed: int | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    def network_with(self, blocks: tuple[str, ...]) -> PolyMgNet | None:
        """Return the network with these blocks; a drawn one is drawn again, with the same convolutions."""
        if self.network is None or self.network.config.blocks == blocks:
            return self.network
        assert self.seed is not None
        return _draw(self.network.config.model_copy(update={"name": name_for_blocks(blocks)}), self.seed)

    def present(self) -> list[ResidualPolynomial]:
        """Return the polynomials that a network from a file has as it is; none where it has none."""
        if self.network is None or self.seed is not None:
            return []
        try:
            return polynomials_of(self.network)
        except InputError:
            return []


def drawn(
    config: ModelConfig, seed: int, region: str, padding: str, *, is_fixed: bool, on_operand: OnOperand
) -> Subject:
    """Draw a network; unless its blocks are fixed, the roots may ask for others."""
    network = _draw(config, seed)
    operands = _operands(network, region, padding, on_operand)
    title = f"{config.in_channels}x{dimensions(config.image_size)} images, seed {seed}"
    return Subject(title, operands, config.blocks if is_fixed else None, network, seed)


def read(
    path: Path,
    model: str | None,
    size: tuple[int, int] | None,
    globs: Sequence[str],
    region: str,
    padding: str,
    *,
    on_operand: OnOperand,
) -> Subject:
    """Read a Poly-MgNet, or the square convolutions of any other checkpoint."""
    layers = read_layers(path, size)
    if not layers.assumed:
        checkpoint = load_checkpoint(path)
        if checkpoint.config.is_polynomial:
            for given, name in ((model, "--model"), (size, "--image-size"), (globs, "--layer")):
                if given:
                    raise InputError(f"{path} is a Poly-MgNet and brings its levels and blocks; leave {name} out")
            network = require_polynomial(checkpoint.model())
            operands = _operands(network, region, padding, on_operand)
            title = f"{path}, {checkpoint.config.in_channels}x{dimensions(checkpoint.config.image_size)} images"
            return Subject(title, operands, checkpoint.config.blocks, network)

    skipped = dict(layers.skipped)
    chosen = []
    for layer in layers.layers:
        if globs and not any(
            fnmatchcase(layer.name.removesuffix(".weight"), glob.removesuffix(".weight")) for glob in globs
        ):
            continue
        reason = why_no_eigenvalues(layer)
        if reason:
            skipped[layer.name] = reason
        else:
            chosen.append(layer)
    if not chosen:
        names = ", ".join(layer.name for layer in layers.layers[:3])
        raise InputError(
            f"{path} has no convolution to choose roots for: expected a square one with stride 1"
            + (f" named like {' or '.join(globs)}" if globs else "")
            + f"; its convolutions are such as {names} ('polyroots spectrum {path} --list' shows all)"
        )
    operands = []
    for number, layer in enumerate(chosen, 1):
        weight = layer.read()
        operands.append(Operand(number, layer.name, weight, layer.operator(weight, padding), region))
        on_operand(number, len(chosen))
    count = "1 convolution" if len(chosen) == 1 else f"{len(chosen)} convolutions"
    return Subject(f"{path}, {count}", operands, None if model is None else blocks_of(model), None, skipped=skipped)


def _draw(config: ModelConfig, seed: int) -> PolyMgNet:
    torch.manual_seed(seed)
    return require_polynomial(build(config))


def _operands(network: PolyMgNet, region: str, padding: str, on_operand: OnOperand) -> list[Operand]:
    total = len(network.config.channels)
    return operands_of(
        network, region=region, padding=padding, on_operand=lambda operand: on_operand(operand.number, total)
    )
