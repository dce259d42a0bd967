"""The two-grid factors of ``polyroots init --two-grid``: table and JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from polyroots.files import without_infinity
from polyroots.tables import number, table
from polyroots.text import count_of
from polyroots_cli.console import say

if TYPE_CHECKING:
    from polyroots.initialization import InitRequest, InitResult


def two_grid_document(result: InitResult, request: InitRequest) -> dict[str, Any] | None:
    """Return the two-grid factors as plain data for JSON; None where they were not asked for."""
    if request.two_grid is None:
        return None
    pre, post = request.two_grid
    rows: list[dict[str, Any]] = without_infinity([asdict(row) for row in result.two_grids])
    return {"pre": pre, "post": post, "neglected": _neglected(result), "levels": rows}


def say_two_grids(result: InitResult, request: InitRequest) -> None:
    """Print the two-grid factors, if they were asked for."""
    if request.two_grid is None:
        return
    pre, post = request.two_grid
    say(f"\nTwo grids, {count_of(pre, 'step')} before and {count_of(post, 'step')} after the coarse-grid correction")
    known = [row for row in result.two_grids if not row.reason]
    if known:
        rows = table("level", "coarse operator", "factor", "norm", "ideal", left=2)
        for row in known:
            cells = ("-" if value is None else number(value) for value in (row.radius, row.norm, row.ideal))
            rows.add_row(row.title.removeprefix("level ").removesuffix(".weight"), row.coarse, *cells)
        say(rows)
        say(
            "factor: spectral radius of one cycle's error propagation. norm: its norm. ideal: the smoothing factor to "
            "the number of steps.\nR A P: Galerkin's operator."
            + (" The null space of A is left out." if any(row.null for row in known) else ""),
            _neglected(result),
        )
    for row in result.two_grids:
        if row.reason:
            say(f"{row.title}: {row.reason}.")
    if not result.two_grids:
        say("A network of one level has no coarser one.")


def _neglected(result: InitResult) -> str:
    """Return a sentence on the transfers, and on what a network does besides."""
    if result.network is None:
        return "Full weighting restricts, bilinear interpolation prolongs."
    plain = all(place.rho == place.update == "plain" for place in result.network.config.placements)
    steps = "" if plain else ", also of the steps, which then don't multiply the residual by q(A)"
    return (
        f"Linear part only: batch norm and ReLU are neglected{steps}. R is the network's; the transpose of its Pi "
        "prolongs, as no network returns to the finer level."
    )
