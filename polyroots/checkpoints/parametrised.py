"""The weights that layers apply where a state dict holds factors of them: pruning, weight norm and spectral norm."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from polyroots.checkpoints.weights import ComputedTensor, Weight, Weights, dtype_of, in_module, reader_of, split_name

# Where torch.nn.utils.parametrize keeps the tensors from which a weight is computed.
_PARAMETRIZATIONS = "parametrizations.weight"
_INCOMPLETE = "a factor of a weight, and the factors that belong to it are not in the file"
_UNKNOWN = (
    "a factor of a parametrised weight, and a state dict doesn't say by which map it becomes the weight; save the "
    "model with its parametrizations removed"
)


@dataclass(frozen=True)
class Parametrised:
    """The weights that are computed from factors.

    Attributes
    ----------
    weights : mapping of str to ComputedTensor
        Weights by the name that they have in the layer.
    factors : mapping of str to str
        Name of each factor, and of the weight that is computed from it.
    reasons : mapping of str to str
        Factors from which no weight can be computed, with the reason.
    """

    weights: Mapping[str, ComputedTensor]
    factors: Mapping[str, str]
    reasons: Mapping[str, str]


def parametrised(weights: Weights) -> Parametrised:
    """Return the weights that a state dict holds as factors.

    Pruned tensors are ``weight_orig * weight_mask``. Weight norm and spectral norm are computed as torch.nn.utils and
    torch.nn.utils.parametrizations do in evaluation mode.

    Parameters
    ----------
    weights : mapping of str to Tensor, StoredTensor or ComputedTensor

    Returns
    -------
    Parametrised
    """
    found: dict[str, ComputedTensor] = {}
    factors: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for name in weights:
        masked = _masked(weights, name)
        if masked is not None:
            target, mask, weight = masked
            found[target] = weight
            factors |= {part: target for part in (name, mask) if part != target}
    # The factors of a weight norm may themselves be pruned.
    known: dict[str, Weight] = {**weights, **found}
    for name, tensor in known.items():
        factor = _factor(known, name, tensor)
        if factor is None:
            continue
        target, parts, product = factor
        if product is None:
            reason = _UNKNOWN if _PARAMETRIZATIONS in name else _INCOMPLETE
            reasons |= dict.fromkeys([name, *(part for part in parts if part in known)], reason)
        else:
            found[target] = product
            factors |= dict.fromkeys([name, *parts], target)
    whole = {name: weight for name, weight in found.items() if name not in factors}
    return Parametrised(whole, factors, reasons)


def _masked(weights: Weights, name: str) -> tuple[str, str, ComputedTensor] | None:
    """Return the pruned tensor that an entry is a factor of: its name, that of the mask, and the product.

    torch's pruning stores ``weight_orig`` and ``weight_mask``, masked convolutions ``weight`` and ``mask``.
    """
    module, parameter = split_name(name)
    if parameter.endswith("_orig"):
        target = name.removesuffix("_orig")
        masks = [f"{target}_mask"]
    elif parameter == "weight":
        target, masks = name, [in_module(module, "mask"), in_module(module, "weight_mask")]
    else:
        return None
    mask = next((mask for mask in masks if mask in weights and weights[mask].shape == weights[name].shape), None)
    if mask is None:
        return None
    first, second = reader_of(weights[name]), reader_of(weights[mask])

    def product() -> Tensor:
        weight = first().detach()
        return weight * second().to(weight.dtype)

    what = f"{split_name(name)[1]} times {split_name(mask)[1]}"
    return target, mask, ComputedTensor(tuple(weights[name].shape), dtype_of(weights[name]), product, what)


def _factor(weights: Weights, name: str, weight: Weight) -> tuple[str, list[str], ComputedTensor | None] | None:
    """Return the weight that an entry is the main factor of: its name, the other factors, and the weight.

    The weight is None if factors are missing or don't fit together. The whole is None if the entry is no such factor.
    """
    module, parameter = split_name(name)
    target = in_module(module, "weight")
    if parameter == "weight_orig" and weight.ndim > 1 and target not in weights:
        parts = [in_module(module, part) for part in ("weight_u", "weight_v")]
        return target, parts, _spectral(weights, name, *parts)
    if parameter == "weight_v" and weight.ndim > 1 and target not in weights:
        part = in_module(module, "weight_g")
        return target, [part], _normed(weights, name, part)
    if not f".{module}".endswith(f".{_PARAMETRIZATIONS}"):
        return None
    target = in_module(module.removesuffix(_PARAMETRIZATIONS).removesuffix("."), "weight")
    others = [other for other in weights if re.match(rf"{re.escape(module)}\.\d+\.", other)]
    if parameter == "original":
        parts = [f"{module}.0.{part}" for part in ("_u", "_v")]
        # Entries of a second map, or of another one, show that this is not spectral norm alone.
        is_alone = set(others) == set(parts)
        return target, others, _spectral(weights, name, *parts) if is_alone else None
    if parameter == "original1":
        part = f"{module}.original0"
        return target, [part, *others], None if others else _normed(weights, name, part)
    return None


def _spectral(weights: Weights, name: str, u: str, v: str) -> ComputedTensor | None:
    """Return W / sigma with sigma = u^T W v, W flattened along the dimension of u; None if the factors don't fit."""
    if u not in weights or v not in weights:
        return None
    weight = weights[name]
    lengths = (math.prod(weights[u].shape), math.prod(weights[v].shape))
    # Dimension 0 is that of convolutions, 1 that of transposed ones.
    dims = [dim for dim in (0, 1) if lengths == (weight.shape[dim], math.prod(weight.shape) // weight.shape[dim])]
    if not dims:
        return None
    dim, readers = dims[0], [reader_of(weights[part]) for part in (name, u, v)]

    def normalised() -> Tensor:
        W, left, right = (read().detach() for read in readers)
        sigma = torch.dot(left.flatten(), torch.mv(W.transpose(0, dim).flatten(1), right.flatten()))
        return W / sigma

    what = "spectral norm" if dim == 0 else "spectral norm of a transposed convolution"
    return ComputedTensor(tuple(weight.shape), dtype_of(weight), normalised, what)


def _normed(weights: Weights, name: str, g: str) -> ComputedTensor | None:
    """Return g v / |v|, the norm over the dimensions in which g has length 1; None if the factors don't fit."""
    weight = weights[name]
    if g not in weights:
        return None
    shape = tuple(weights[g].shape)
    is_scalar = math.prod(shape) == 1
    if not is_scalar and not (
        len(shape) == weight.ndim and all(m in (1, n) for m, n in zip(shape, weight.shape, strict=True))
    ):
        return None
    dims = None if is_scalar else [k for k, m in enumerate(shape) if m == 1]
    direction, length = reader_of(weight), reader_of(weights[g])

    def scaled() -> Tensor:
        v, lengths = direction().detach(), length().detach()
        return v * (lengths / torch.linalg.vector_norm(v, dim=dims, keepdim=dims is not None))

    return ComputedTensor(tuple(weight.shape), dtype_of(weight), scaled, "weight norm")
