"""The tables and sentences on a network's coefficients, from `InitReport.to_dict` or a run's init.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from polyroots.polynomials import diagnosis_cells, diagnosis_table
from polyroots.tables import dimensions, number, table
from polyroots.text import listed

# With more levels, the sentence is only on the one that amplifies most.
_FEW = 8
# Norms this close to 1 are 1, up to rounding.
_ROUNDING = 1e-9


def origin_of(init: Mapping[str, Any]) -> str:
    """Return the origin of the coefficients of an `InitReport.to_dict`, as text."""
    if init["strategy"] is None:
        return f"coefficients '{init['alpha_init']}'"
    # Files of version 0.1.0 have neither relaxation nor signs.
    relax, signs = init.get("relax", "none"), init.get("signs", "paper")
    ways = [f"roots '{init['strategy']}'"]
    if relax != "none":
        ways.append(f"relaxed '{relax}'")
    if signs != "paper":
        ways.append(f"signs by the {signs}")
    return ", ".join(ways)


def boundary_of(padding: str) -> str:
    """Return the boundary of the operators of an `InitReport` as text."""
    return "a matrix" if padding == "none" else f"{padding} padding"


def rectified_sentences(init: Mapping[str, Any], remedy: str = "signs 'placement'") -> list[str]:
    """Return a warning of negative coefficients of an `InitReport.to_dict` that are rectified; empty without any.

    `remedy` is how the rule that avoids them is asked for.
    """
    levels: dict[tuple[int, str], list[int]] = {}
    for item in init.get("rectified", ()):
        levels.setdefault((item["block"], item["letter"]), []).append(item["level"])
    if not levels:
        return []
    places = listed(
        (
            f"block {block} ({letter}) of {'level' if len(numbers) == 1 else 'levels'} {listed(numbers)}"
            for (block, letter), numbers in levels.items()
        ),
        separator=" and ",
    )
    return [
        f"Warning: the placement rectifies a negative coefficient in {places}: what is positive before it is cut off "
        f"after it; {remedy} takes positive roots there."
    ]


def start_sentences(init: Mapping[str, Any]) -> list[str]:
    """Return a sentence on how much each level of an `InitReport.to_dict` amplifies, and on its relaxation."""
    known = [level for level in init["levels"] if level["diagnosis"]["norm"] is not None]
    if not known:
        return []
    if len(known) > _FEW:
        known = [max(known, key=lambda level: float(level["diagnosis"]["norm"]))]
    return [f"Start: {listed(map(_amplification, known), characters=380, separator='; ')}."]


def _amplification(level: Mapping[str, Any]) -> str:
    """Return the part of the sentence on one level."""
    w, after = level.get("relaxation", 1.0), level["diagnosis"]["norm"]
    before = level.get("unrelaxed_norm")
    title = str(level.get("title", f"level {level['level']}")).removesuffix(".weight")
    if w == 1:
        return (
            f"amplifies nothing in {title}"
            if after <= 1 + _ROUNDING
            else f"amplifies up to {after:.3g} times in {title}"
        )
    much = "without bound" if before is None else f"up to {before:.3g} times"
    how = "relaxed" if w < 1 else "over-relaxed"
    return f"amplifies {much} in {title}: {how} by {w:.3g}, {after:.3g} times then"


def inert_sentences(init: Mapping[str, Any]) -> list[str]:
    """Return a sentence on the inert coefficients of an `InitReport.to_dict`; an empty list if there are none."""
    inert = init.get("inert", ())
    if not inert:
        return []
    levels: dict[str, list[int]] = {}
    for item in inert:
        alphas = " and ".join(f"alpha{power}" for power in item["powers"])
        common = "common factor of " if len(item["powers"]) > 1 else ""
        levels.setdefault(f"block {item['block']} ({item['letter']}, {common}{alphas})", []).append(item["level"])
    blocks: dict[str, list[str]] = {}
    for block, numbers in levels.items():
        word = "level" if len(numbers) == 1 else "levels"
        blocks.setdefault(f"{word} {listed(numbers)}", []).append(block)
    places = listed(
        (f"{listed(names, separator=' and ')} of {where}" for where, names in blocks.items()),
        characters=370,
        separator="; ",
    )
    return [
        f"Inert in training: {places}.",
        "Batch norm cancels the size of these coefficients: sign and ratio are left, and roots that follow from them "
        "after training mean nothing; what trained levels apply is in 'polyroots spectrum RUN --effective linear'.",
    ]


def levels_tables(init: Mapping[str, Any]) -> list[Table]:
    """Return the tables of an `InitReport.to_dict`: spectra, blocks with roots and coefficients, and diagnoses."""
    spectra = table(
        "level", "size", "channels", "radius", "min Re", "max Re", "max Im", less_important=("channels", "size")
    )
    blocks = table("level", "block", "roots", "alpha0", "alpha1", left=2)
    for level in init["levels"]:
        radius = level["radius"]
        spectra.add_row(
            _title(level),
            dimensions(level["size"]),
            str(level["channels"]),
            *(
                "-" if None in (level[name], radius) else number(level[name], radius)
                for name in ("radius", "min_real", "max_real", "max_imag")
            ),
        )
        name = _title(level)
        for block in level["blocks"]:
            numbers = ("-" if alpha is None else number(alpha) for alpha in block["alphas"])
            alphas = dict(zip(block["powers"], numbers, strict=True))
            blocks.add_row(name, block["letter"], _roots(block["roots"]), alphas.get(0, ""), alphas.get(1, ""))
            name = ""
    diagnoses = diagnosis_table("level")
    for level in init["levels"]:
        diagnoses.add_row(_title(level), *diagnosis_cells([level["diagnosis"]]))
    return [spectra, blocks, diagnoses]


def _title(level: Mapping[str, Any]) -> str:
    """Number of a network's level, or name of a layer."""
    return str(level.get("title", level["level"])).removeprefix("level ").removesuffix(".weight")


def _roots(roots: Sequence[Sequence[float]]) -> str:
    """Roots of one block, conjugates and symmetric pairs in one expression."""
    (re, im), *others = roots
    if others and im:
        return f"{number(re, 1e3 * abs(im))} +- {number(im)}i"
    if others and others[0][0] == -re:
        return f"+-{number(re)}"
    return ", ".join(number(real) for real, _ in roots)
