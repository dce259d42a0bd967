"""What ``polyroots init`` chooses roots for: a drawn network, a network from a file, or the layers of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch

from polyroots.analysis import why_no_eigenvalues
from polyroots.checkpoints import load_checkpoint, read_layers
from polyroots.errors import InputError
from polyroots.initialization import OperatorToDamp, operands_of, polynomials_of, require_polynomial
from polyroots.models import PolyMgNet, blocks_of, build, name_for_blocks
from polyroots.text import count_of

from .console import dimensions

if TYPE_CHECKING:
    from polyroots.models import ModelConfig
    from polyroots.polynomials import ResidualPolynomial

    from .model_options import NetworkRequest

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
    assumption : what a state dict doesn't say, empty for a network of ours
    training : what is known of the training of a network from a file
    """

    title: str
    operands: list[OperatorToDamp]
    blocks: tuple[str, ...] | None
    network: PolyMgNet | None
    seed: int | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    assumption: str = ""
    training: dict[str, Any] | None = None

    def network_with(self, blocks: tuple[str, ...]) -> PolyMgNet | None:
        """Return the network with these blocks; a drawn one is drawn again, with the same convolutions."""
        if self.network is None or self.blocks is not None or self.network.config.blocks == blocks:
            return self.network
        assert self.seed is not None
        return _draw(self.network.config.with_name(name_for_blocks(blocks)), self.seed)

    def training_before(self) -> dict[str, Any] | None:
        """Return the training of a network whose coefficients are set anew, so that it can be evaluated."""
        if self.training is None:
            return None
        return {name: value for name, value in self.training.items() if name != "optimizer"} | {"initialised": True}

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
    operands = _operands(network, region, padding, on_operand, has_fixed_blocks=is_fixed)
    title = f"{config.in_channels}x{dimensions(config.image_size)} images, seed {seed}"
    return Subject(title, operands, config.blocks if is_fixed else None, network, seed)


def read(
    path: Path,
    request: NetworkRequest,
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
            for given, name in (
                (request.model, "--model"),
                (request.blocks, "--blocks"),
                (size, "--image-size"),
                (globs, "--layer"),
            ):
                if given:
                    raise click.UsageError(f"{path} is a Poly-MgNet and brings its levels and blocks; leave {name} out")
            network = require_polynomial(checkpoint.model())
            operands = _operands(network, region, padding, on_operand)
            title = f"{path}, {checkpoint.config.in_channels}x{dimensions(checkpoint.config.image_size)} images"
            return Subject(title, operands, checkpoint.config.blocks, network, training=checkpoint.training)

    chosen, skipped = layers.choose(globs, why_no_eigenvalues)
    operands = []
    blocks = None if request.model is None and request.blocks is None else blocks_of(request.name)
    for number, layer in enumerate(chosen, 1):
        try:
            operands.append(OperatorToDamp(number, layer.name, layer.convolution(padding), region, blocks))
        except InputError as error:
            skipped[layer.name] = str(error).removeprefix(f"{layer.name}: ")
        on_operand(number, len(chosen))
    if not operands:
        named = f" named like {' or '.join(globs)}" if globs else ""
        reasons = "; ".join(f"{name} ({reason})" for name, reason in skipped.items()) or "no layer has such a name"
        raise InputError(
            f"{path} has no convolution{named} to choose roots for, expected a square one with stride 1: {reasons}"
        )
    assumption = ""
    if layers.assumed:
        images = "" if size else f"images of {dimensions(chosen[0].conv.size)} (--image-size chooses others), "
        assumption = f"A state dict doesn't say: {images}stride 1 and, but for depthwise layers, groups 1 are assumed."
    return Subject(
        f"{path}, {count_of(len(operands), 'convolution')}",
        operands,
        blocks,
        None,
        skipped=skipped,
        assumption=assumption,
    )


def _draw(config: ModelConfig, seed: int) -> PolyMgNet:
    torch.manual_seed(seed)
    return require_polynomial(build(config))


def _operands(
    network: PolyMgNet, region: str, padding: str, on_operand: OnOperand, *, has_fixed_blocks: bool = True
) -> list[OperatorToDamp]:
    total = len(network.config.channels)
    return operands_of(
        network,
        region=region,
        padding=padding,
        has_fixed_blocks=has_fixed_blocks,
        on_operand=lambda operand: on_operand(operand.number, total),
    )
