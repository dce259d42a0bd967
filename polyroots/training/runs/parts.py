"""The polynomial levels of a network of the user's own, described in its checkpoints, to be read without its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from polyroots.checkpoints import Checkpoint
from polyroots.errors import FileError
from polyroots.models import PolyPart

# Entry of `Checkpoint.training`.
_ENTRY = "polynomial_levels"


@dataclass(frozen=True)
class OwnOperator:
    """A convolution A of a network of the user's own, and the blocks that share it.

    Attributes
    ----------
    name : str
        Name of its weight.
    weight : (c, c, 3, 3) Tensor
    size : (H, W)
        Grid of its features.
    letters : tuple of str
        Letters of the blocks.
    alphas : tuple of list of float
        Coefficients of each block.
    """

    name: str
    weight: Float[Tensor, "c c 3 3"]
    size: tuple[int, int]
    letters: tuple[str, ...]
    alphas: tuple[list[float], ...]


def described(network: nn.Module, parts: Sequence[PolyPart]) -> dict[str, Any]:
    """Return the entry of `Checkpoint.training` on the polynomial levels of a network; nothing without any."""
    names = {module: f"{name}.weight" for name, module in network.named_modules()}
    operators = [
        {
            "name": names[A],
            "size": list(part.size),
            "letters": [step.letter for step in steps],
            "alphas": [step.alphas.tolist() for step in steps],
        }
        for part in parts
        for A, steps in part.level.groups
    ]
    return {_ENTRY: operators} if operators else {}


def own_operators(checkpoint: Checkpoint) -> list[OwnOperator]:
    """Return the convolutions A that a checkpoint describes, in the order of the network; none if it describes none.

    Raises
    ------
    FileError
        If a weight that is described is missing or is not that of an A.
    """
    found = []
    for entry in (checkpoint.training or {}).get(_ENTRY, ()):
        weight = checkpoint.weights.get(entry["name"])
        if weight is None or weight.shape != (len(weight), len(weight), 3, 3):
            raise FileError(
                f"the checkpoint is damaged: it describes {entry['name']} as a convolution A, c x c x 3 x 3, and "
                + ("has no such weight" if weight is None else f"its weight is {' x '.join(map(str, weight.shape))}")
            )
        H, W = entry["size"]
        found.append(OwnOperator(entry["name"], weight, (H, W), tuple(entry["letters"]), tuple(entry["alphas"])))
    return found
