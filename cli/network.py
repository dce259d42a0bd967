"""From options to a network's configuration, and its levels as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from polyroots.factors import require_degree
    from polyroots.models import model_config
    from polyroots.roots import require_strategy

    require_strategy(roots)
    config = model_config(
        model_name(model, degree),
        image_size=source.size,
        in_channels=source.channels,
        classes=len(source.classes),
        channels=channels,
    )
    if degree is not None:
        require_degree(degree, config.blocks)
    return config


def model_name(model: str | None, degree: int | None) -> str:
    """Return the network that --model or else --degree asks for."""
    from polyroots.models import name_for_degree

    if model is not None:
        return model
    return "q4" if degree is None else name_for_degree(degree)


def levels_tables(init: Mapping[str, Any]) -> list[Table]:
    """Return the tables of an `InitReport.to_dict`.

    The levels' spectra; the blocks' roots and coefficients; how well they damp the spectra.
    """
    spectra = table("level", "size", "channels", "radius", "min Re", "max Re", "max Im")
    blocks = table("level", "block", "roots", "alpha0", "alpha1", left=2)
    for level in init["levels"]:
        radius = level["radius"]
        spectra.add_row(
            _title(level),
            dimensions(level["size"]),
            str(level["channels"]),
            *(
                "-" if level[name] is None else number(level[name], radius)
                for name in ("radius", "min_real", "max_real", "max_imag")
            ),
        )
        name = _title(level)
        for block in level["blocks"]:
            numbers = ("-" if alpha is None else number(alpha) for alpha in block["alphas"])
            alphas = dict(zip(block["powers"], numbers, strict=True))
            blocks.add_row(name, block["letter"], _roots(block["roots"]), alphas.get(0, ""), alphas.get(1, ""))
            name = ""
    # Files of version 0.1.0 have no diagnosis.
    if not all("diagnosis" in level for level in init["levels"]):
        return [spectra, blocks]
    diagnoses = diagnosis_table("level")
    for level in init["levels"]:
        diagnoses.add_row(_title(level), *diagnosis_cells([level["diagnosis"]]))
    return [spectra, blocks, diagnoses]


def diagnosis_table(*first: str) -> Table:
    """Return an empty table for `diagnosis_cells` behind other columns."""
    heads = ("max|q|", "mean|q|", "rms", "damped", "smoothing", "|q(A)|", "growth", "best possible")
    return table(*first, *heads, left=len(first))


def diagnosis_cells(diagnoses: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the numbers of `Diagnosis` documents, of several the worst, in the order of `diagnosis_table`."""
    from polyroots.diagnosis import share

    def worst(name: str) -> str:
        values = [diagnosis[name] for diagnosis in diagnoses]
        return "-" if None in values else number(max(values))

    damped = [diagnosis["damped"] for diagnosis in diagnoses]
    return [
        *(worst(name) for name in ("max_abs", "mean_abs", "rms")),
        "-" if None in damped else share(min(damped)),
        *(worst(name) for name in ("smoothing_factor", "norm", "growth", "best")),
    ]


def _title(level: Mapping[str, Any]) -> str:
    """Number of a network's level, or name of a layer."""
    return str(level.get("title", level["level"])).removeprefix("level ").removesuffix(".weight")


def _roots(roots: list[tuple[float, float]]) -> str:
    """Roots of one block, conjugates and symmetric pairs in one expression."""
    (re, im), *others = roots
    if others and im:
        return f"{number(re, 1e3 * abs(im))} +- {number(im)}i"
    if others and others[0][0] == -re:
        return f"+-{number(re)}"
    return ", ".join(number(real) for real, _ in roots)
