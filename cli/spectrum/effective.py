"""The operators that the levels of a trained network apply, for ``polyroots spectrum --effective``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyroots.tables import dimensions, number, table
from polyroots_cli.console import say

if TYPE_CHECKING:
    from polyroots.models import EffectiveOperator

#: Treatments of ReLU.
KINDS = ("linear", "relu")
_TITLES = {"nominal": "roots alone", "linear": "with batch norm", "relu": "and ReLU's slope"}
# Test images that the gain of ReLU is measured on.
_IMAGES = 500


@dataclass(frozen=True)
class AppliedLevel:
    """The operators of a level.

    Attributes
    ----------
    nominal : q(A), without batch norm and ReLU
    linear : with batch norm, ReLU as the identity
    relu : with batch norm and the mean slope of ReLU; None where it was not measured
    """

    nominal: EffectiveOperator
    linear: EffectiveOperator
    relu: EffectiveOperator | None


def applied_levels(path: Path, kind: str, padding: str, workers: int | None) -> list[AppliedLevel]:
    """Return the operators of each level of a checkpoint.

    Raises
    ------
    InputError
        If the network has no levels, or has not been trained; for zero padding, if a level is too large.
    FileError
        If the file is none of polyroots, or the data for ``"relu"`` is not there.
    """
    from polyroots import effective_operator, load_checkpoint
    from polyroots.training import normalised_test_images

    checkpoint = load_checkpoint(path)
    model = checkpoint.model()
    images = normalised_test_images(checkpoint, limit=_IMAGES) if kind == "relu" else None
    options: dict[str, Any] = {"padding": padding, "workers": workers}
    checkpoint.config.level_index(1)  # refuses a network without levels
    return [
        AppliedLevel(
            effective_operator(model, level, nominal=True, **options),
            effective_operator(model, level, **options),
            None if images is None else effective_operator(model, level, data=images, **options),
        )
        for level in range(1, len(checkpoint.config.channels) + 1)
    ]


def print_levels(levels: Sequence[AppliedLevel]) -> None:
    """Print a table of the levels' operators."""
    rows = table(
        "level",
        "size",
        "channels",
        "operator",
        "max",
        "median",
        "norm",
        "from features",
        left=4,
        less_important=("channels", "size"),
    )
    for level in levels:
        first = [str(level.linear.level), dimensions(level.linear.size), str(level.linear.channels)]
        for name, operator in _named(level):
            sizes = (operator.radius, operator.median, operator.norm, operator.feature_norm)
            rows.add_row(*first, _TITLES[name], *(number(size, operator.norm) for size in sizes))
            first = [""] * 3
    say("\nWhat each level multiplies its residual by:", rows)
    say(
        "max, median: of the modulus of the eigenvalues; for the roots alone max |q|. Batch norm: its scaling.",
        "from features: norm of the map from the features that enter to the residual that leaves.",
        "ReLU is the identity, its slope the share of positive inputs on test images."
        if levels[0].relu is not None
        else "ReLU is the identity; --effective relu takes its mean slope on test images.",
    )


def levels_document(levels: Sequence[AppliedLevel]) -> list[dict[str, Any]]:
    """Return the levels' operators without their eigenvalues, for JSON."""
    return [
        {
            "level": level.linear.level,
            "size": list(level.linear.size),
            "channels": level.linear.channels,
            **{
                name: {what: getattr(operator, what) for what in ("radius", "median", "norm", "feature_norm")}
                for name, operator in _named(level)
            },
        }
        for level in levels
    ]


def _named(level: AppliedLevel) -> list[tuple[str, EffectiveOperator]]:
    """Return the operators of a level that are known, by name."""
    found = (("nominal", level.nominal), ("linear", level.linear), ("relu", level.relu))
    return [(name, operator) for name, operator in found if operator is not None]
