"""From options to a network's configuration, and its levels as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from .console import dimensions, number, table

if TYPE_CHECKING:
    from polyroots.models import ModelConfig
    from polyroots.training import Source


def choose_model(
    source: Source, model: str | None, degree: int | None, roots: str, channels: tuple[int, ...] | None
) -> ModelConfig:
    """Return the configuration that --model, --degree, --roots and --channels ask for, on a data set's images."""
    from polyroots.models import model_config, name_for_degree
    from polyroots.roots import require_degree, require_strategy

    require_strategy(roots)
    name = model or ("q4" if degree is None else name_for_degree(degree))
    config = model_config(
        name,
        image_size=source.size,
        in_channels=source.channels,
        classes=len(source.classes),
        channels=channels,
    )
    if degree is not None:
        require_degree(degree, config.blocks)
    return config


def levels_tables(init: Mapping[str, Any]) -> tuple[Table, Table]:
    """Return the tables of an `InitReport.to_dict`: the levels' spectra; the blocks' roots and coefficients."""
    spectra = table("level", "size", "channels", "radius", "min Re", "max Re", "max Im")
    blocks = table("level", "block", "roots", "alpha0", "alpha1", left=2)
    for level in init["levels"]:
        radius = level["radius"]
        spectra.add_row(
            str(level["level"]),
            dimensions(level["size"]),
            str(level["channels"]),
            *(number(level[name], radius) for name in ("radius", "min_real", "max_real", "max_imag")),
        )
        name = str(level["level"])
        for block in level["blocks"]:
            alphas = dict(zip(block["powers"], map(number, block["alphas"]), strict=True))
            blocks.add_row(name, block["letter"], _roots(block["roots"]), alphas.get(0, ""), alphas.get(1, ""))
            name = ""
    return spectra, blocks


def _roots(roots: list[tuple[float, float]]) -> str:
    """Roots of one block, conjugates and symmetric pairs in one expression."""
    (re, im), *others = roots
    if others and im:
        return f"{number(re)} +- {number(im)}i"
    if others and others[0][0] == -re:
        return f"+-{number(re)}"
    return ", ".join(number(real) for real, _ in roots)
