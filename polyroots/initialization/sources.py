"""Operators for which roots are chosen, from a network in memory, a network that is drawn, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polyroots.analysis import why_no_eigenvalues
from polyroots.checkpoints import Checkpoint, LayerSet, holds_matrix, read_layers, require_rules
from polyroots.errors import InputError
from polyroots.initialization.network import operators_to_damp, require_polynomial
from polyroots.initialization.operators import OperatorToDamp, matrix_to_damp
from polyroots.initialization.request import InitRequest, OnProgress, RequestError
from polyroots.models import ModelConfig, PolyMgNet, build, name_for_blocks
from polyroots.polynomials import ResidualPolynomial
from polyroots.text import listed

# Entry of `Checkpoint.training` with the optimizer and the generators, which only the same run can use.
_STATE_OF_TRAINING = "state"


@dataclass(frozen=True, eq=False)
class InitSource:
    """Operators, and the network that they belong to.

    Attributes
    ----------
    operators : sequence of OperatorToDamp
    blocks : tuple of str or None
        Blocks that the roots have to fit; None where the roots choose them.
    network : PolyMgNet or None
        None for the layers of a file, which have no coefficients.
    generator : Tensor or None
        State of torch's generator from which a network was drawn; None for other sources.
    skipped : dict
        Name -> reason, of the layers of a file that are left out.
    is_assumed : bool
        Whether stride, groups and image size of a file's layers are assumptions.
    training : dict or None
        `Checkpoint.training` of a network from a file.
    notes : dict
        Name -> assumption or doubt, of layers of a file.
    file : LayerSet or None
        The convolutions of a file that is no Poly-MgNet.
    """

    operators: Sequence[OperatorToDamp]
    blocks: tuple[str, ...] | None
    network: PolyMgNet | None = None
    generator: Tensor | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    is_assumed: bool = False
    training: dict[str, Any] | None = None
    notes: dict[str, str] = field(default_factory=dict)
    file: LayerSet | None = None

    def network_with(self, blocks: tuple[str, ...]) -> PolyMgNet | None:
        """Return the network with these blocks; a drawn one is drawn again, with the same convolutions."""
        if self.network is None or self.blocks is not None or self.network.config.blocks == blocks:
            return self.network
        assert self.generator is not None
        try:
            config = self.network.config.with_name(name_for_blocks(blocks))
        except InputError as error:
            raise RequestError(str(error), fields=error.fields) from error
        torch.set_rng_state(self.generator)
        return require_polynomial(build(config))

    def present(self) -> list[ResidualPolynomial]:
        """Return the polynomials of the coefficients that a network has; none where they were never set."""
        if self.network is None or self.generator is not None:
            return []
        try:
            return self.network.polynomials()
        except InputError:
            return []

    def training_of_weights(self) -> dict[str, Any] | None:
        """Return how the weights were trained, without the state that continues the run that trained them."""
        if self.training is None:
            return None
        kept = {name: value for name, value in self.training.items() if name != _STATE_OF_TRAINING}
        return kept | {"initialised": True}


def open_source(
    source: nn.Module | ModelConfig | str | Path, request: InitRequest, on_progress: OnProgress
) -> InitSource:
    """Return the operators of a network in memory, of a network drawn from a configuration, or of a file.

    Raises
    ------
    RequestError
        If the request doesn't go with the source.
    InputError, FileError
        If the file can't be read, there is no operator, or a spectrum can't be computed.
    """
    if isinstance(source, nn.Module):
        return _of_network(require_polynomial(source), request, on_progress)
    if isinstance(source, ModelConfig):
        return _drawn(source, request, on_progress)
    if holds_matrix(source):
        return _of_matrix(source, request, on_progress)
    layers = read_layers(
        source,
        request.image_size,
        geometry=request.geometry,
        architecture=request.architecture,
        entry=request.entry,
    )
    if layers.checkpoint is not None and layers.checkpoint.config.is_polynomial:
        return _of_checkpoint(source, layers.checkpoint, request, on_progress)
    return _of_layers(source, layers, request, on_progress)


def _of_network(
    network: PolyMgNet,
    request: InitRequest,
    on_progress: OnProgress,
    generator: Tensor | None = None,
    training: dict[str, Any] | None = None,
) -> InitSource:
    """Return the operators of a network's levels."""
    is_fixed = generator is None or not request.free_blocks or request.signs == "placement"
    blocks = network.config.blocks if is_fixed else None
    request.require_fit(blocks)
    total = len(network.config.channels)
    operators = operators_to_damp(
        network,
        region=request.region,
        padding=request.padding,
        has_fixed_blocks=is_fixed,
        signs=request.signs,
        on_operator=lambda operator: on_progress("eigenvalues", operator.number, total),
    )
    return InitSource(operators, blocks, network, generator, training=training)


def _drawn(config: ModelConfig, request: InitRequest, on_progress: OnProgress) -> InitSource:
    """Return the operators of a network that is drawn."""
    if request.seed is not None:
        torch.manual_seed(request.seed)
    generator = torch.get_rng_state()
    return _of_network(require_polynomial(build(config)), request, on_progress, generator)


def _of_checkpoint(
    path: str | Path, checkpoint: Checkpoint, request: InitRequest, on_progress: OnProgress
) -> InitSource:
    """Return the operators of a Poly-MgNet in a file, which brings all that a request can say of layers."""
    geometry = _given_geometry(request)
    for is_given, words, fields in (
        (request.blocks, "the blocks", ("model", "blocks")),
        (request.image_size, "image_size", ("image_size",)),
        (geometry, " and ".join(geometry), geometry),
        (request.layers, "layers", ("layers",)),
    ):
        if is_given:
            raise RequestError(
                f"{path} is a Poly-MgNet and brings its levels and blocks; leave {words} out", fields=fields
            )
    network = require_polynomial(checkpoint.model())
    return _of_network(network, request, on_progress, training=checkpoint.training)


def _given_geometry(request: InitRequest) -> tuple[str, ...]:
    """Return which of stride, dilation and groups a request has."""
    return () if request.geometry is None else tuple(dict.fromkeys(what for what, _ in request.geometry.rules))


def _of_matrix(path: str | Path, request: InitRequest, on_progress: OnProgress) -> InitSource:
    """Return the matrix in a file as the only operator."""
    for is_given, fields in (
        (request.image_size is not None, ("image_size",)),
        (request.geometry is not None, _given_geometry(request)),
        (request.architecture is not None, ("arch",)),
        (request.entry is not None, ("entry",)),
        (bool(request.layers), ("layers",)),
        (request.padding != "circular", ("padding",)),
        (request.two_grid is not None, ("two_grid",)),
        (request.region != "all", ("region",)),
        (request.signs == "placement", ("signs",)),
        (request.needs_network, ("out",)),
        (not request.alphas.needs_spectrum, ("alpha_init",)),
    ):
        if is_given:
            raise RequestError(
                f"{path} is a matrix, which has no grid, layers or network for '{fields[0]}'; leave it out",
                fields=fields,
            )
    request.require_fit(request.blocks)
    operator = matrix_to_damp(path, request)
    on_progress("eigenvalues", 1, 1)
    return InitSource([operator], request.blocks)


def _of_layers(path: str | Path, layers: LayerSet, request: InitRequest, on_progress: OnProgress) -> InitSource:
    """Return the square convolutions with stride 1 of a file, each as an operator of its own."""
    is_drawn = not request.alphas.needs_spectrum
    if request.needs_network or is_drawn:
        raise RequestError(
            f"{path} is no Poly-MgNet, so it has no coefficients to set",
            fields=("alpha_init",) if is_drawn else ("out",),
        )
    if request.signs == "placement":
        raise RequestError(
            f"{path} is no Poly-MgNet, so it has no placement to take the signs of roots from; use signs 'paper'",
            fields=("signs",),
        )
    request.require_fit(request.blocks)
    if request.geometry is not None:
        require_rules(request.geometry, [layers])
    chosen, skipped = layers.choose(request.layers, why_no_eigenvalues)
    operators = []
    for number, layer in enumerate(chosen, 1):
        try:
            convolution = layer.convolution(request.padding)
            operators.append(OperatorToDamp(number, layer.name, convolution, request.region, request.blocks))
        except InputError as error:
            skipped[layer.name] = str(error).removeprefix(f"{layer.name}: ")
        on_progress("eigenvalues", number, len(chosen))
    if not operators:
        named = f" named like {listed(request.layers, 3, characters=80, separator=' or ')}" if request.layers else ""
        reasons = (
            listed((f"{name} ({reason})" for name, reason in skipped.items()), separator="; ")
            or "no layer has such a name"
        )
        raise InputError(
            f"{path} has no convolution{named} to choose roots for, expected a square one with stride 1: {reasons}"
        )
    notes = {layer.name: layer.note for layer in chosen if layer.note}
    return InitSource(operators, request.blocks, skipped=skipped, is_assumed=layers.assumed, notes=notes, file=layers)
