"""The output of ``polyroots init``: tables, JSON and pictures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyroots.files import without_infinity
from polyroots.initialization import (
    boundary_of,
    inert_sentences,
    levels_tables,
    origin_of,
    rectified_sentences,
    start_sentences,
)
from polyroots.polynomials import diagnosis_cells, diagnosis_table, join_blocks
from polyroots.tables import dimensions
from polyroots.text import count_of, listed
from polyroots_cli.console import print_json, progress, say
from polyroots_cli.init.two_grid import say_two_grids, two_grid_document
from polyroots_cli.spectrum.findings import notes_of, origin_of_layers

if TYPE_CHECKING:
    from polyroots.initialization import InitReport, InitRequest, InitResult, RankedStrategy

# With more levels, the sentences are in --json only.
_FEW = 8


def print_report(
    result: InitResult, request: InitRequest, origin: str, as_json: bool, *, is_asked: bool = True
) -> None:
    """Print the levels with roots, coefficients and diagnosis, and the comparison of strategies.

    Parameters
    ----------
    result : InitResult
    request : InitRequest
    origin : str
        The file, or the seed of a drawn network.
    as_json : bool
        Print one JSON document instead of tables.
    is_asked : bool
        Whether the strategy was asked for; otherwise tables show the comparison alone.
    """
    if as_json:
        print_json(_document(result, request, is_asked))
        return
    if result.source.file is not None:
        say(*origin_of_layers(result.source.file))
    assumption = _assumption(result, request)
    if assumption:
        say(assumption, *notes_of(result.source.notes.items()))
    what = "the high frequencies" if request.region == "high" else "the spectrum"
    legend = (
        f"max|q|, mean|q|, rms, damped (share with |q| < 1, cut): over {what}, null space left out. smoothing: max|q| "
        "over the high frequencies. |q(A)|: norm. growth: largest partial product. best possible: max|q| of the best "
        "polynomial with as many roots."
    )
    title = _title(result, origin)
    if result.report is not None and is_asked:
        _print_levels(result, result.report, title, legend)
    say_two_grids(result, request)
    if result.comparison:
        if not (result.report is not None and is_asked):
            say(title, legend)
        _print_comparison(result.comparison, has_several=len(result.source.operators) > 1)
    skipped = result.source.skipped
    if skipped:
        say(f"Left out: {listed((f'{name} ({reason})' for name, reason in skipped.items()), separator='; ')}")


def print_written(result: InitResult, plot_dir: Path | None, out: Path | None, data_options: str) -> None:
    """Print which files were written, and the command that trains the network."""
    if plot_dir is not None:
        say(f"Pictures in {plot_dir}")
    if out is not None:
        assert result.report is not None
        command = f"polyroots train --init {shlex.quote(str(out))}{data_options}"
        say(f"Wrote {out}, {origin_of(result.report.to_dict())}; next: {command}")


def draw(result: InitResult, directory: Path) -> None:
    """Draw |q| around each spectrum."""
    from polyroots.plotting import draw_contours, literal, save_figure
    from polyroots_cli.spectrum.pictures import file_stem

    report = result.report
    assert report is not None
    with progress() as bar:
        task = bar.add_task("pictures", total=len(report.levels))
        for operator, level in zip(result.source.operators, report.levels, strict=True):
            bar.advance(task)
            if operator.spectrum is None:
                continue
            title = f"{operator.title}, {operator.dimensions}"
            q = level.polynomial
            title += f"\n'{report.strategy or report.alpha_init}', {count_of(len(q.roots), 'root')}"
            figure = draw_contours(
                operator.spectrum.values,
                q,
                literal(title),
                chosen=operator.spectrum.is_high_frequency if operator.target.region == "high" else None,
            )
            save_figure(figure, directory / file_stem(operator.title.replace(" ", ""), operator.number))


def _document(result: InitResult, request: InitRequest, is_asked: bool) -> dict[str, Any]:
    """Return the result as one JSON document."""
    source, network = result.source, result.network
    error = str(result.error) if result.error is not None and is_asked else None
    return {
        "model": None if network is None else network.config.model_dump(mode="json"),
        "seed": None if source.generator is None else request.seed,
        "geometry_assumed": _assumption(result, request) or None,
        "assumptions": source.notes,
        "skipped": [{"name": name, "reason": reason} for name, reason in source.skipped.items()],
        **({"error": error} if result.report is None else result.report.to_dict()),
        "two_grid": two_grid_document(result, request),
        "comparison": [_ranked_document(row) for row in result.comparison],
    }


def _title(result: InitResult, origin: str) -> str:
    """Return the origin of the operators, for the line above the tables."""
    network = result.source.network
    if network is None:
        if result.source.operators[0].padding == "none":
            return origin
        return f"{origin}, {count_of(len(result.source.operators), 'convolution')}"
    images = f"{network.config.in_channels}x{dimensions(network.config.image_size)} images"
    return f"{origin}, {images}" if result.source.generator is None else f"{images}, {origin}"


def _assumption(result: InitResult, request: InitRequest) -> str:
    """Return a sentence on the assumptions about the layers of a state dict; empty where there are none."""
    if not result.source.is_assumed:
        return ""
    size = result.source.operators[0].size
    images = "" if request.image_size else f"images of {dimensions(size)} (--image-size chooses others), "
    return f"A state dict doesn't say: {images}stride 1 and, but for depthwise layers, groups 1 are assumed."


def _print_levels(result: InitResult, report: InitReport, title: str, legend: str) -> None:
    """Print the tables of the levels, with a legend and the diagnoses in sentences."""
    document = report.to_dict()
    if result.network is None:
        name, blocks = "", tuple(block.letter for block in report.levels[0].blocks)
    else:
        name, blocks = f"{result.network.config.title}: ", result.network.config.blocks
    say(
        f"{name}blocks {join_blocks(blocks)}, degree {report.degree}, {origin_of(document)}, {title}, "
        f"{boundary_of(report.padding)}"
    )
    say(*levels_tables(document))
    say(legend)
    say(*start_sentences(document), *rectified_sentences(document, "--signs placement"), *inert_sentences(document))
    _say_in_words(document["levels"])


def _say_in_words(levels: Sequence[Mapping[str, Any]]) -> None:
    """Print the diagnosis of each level in sentences, unless there are many levels."""
    if len(levels) > _FEW:
        say("What these numbers mean, level by level, is in --json.")
        return
    for level in levels:
        say(f"\n{level['title']}")
        for sentence in (*level["words"], *(f"{remark[0].upper()}{remark[1:]}." for remark in level["remarks"])):
            say(f"  {sentence}")


def _print_comparison(rows: Sequence[RankedStrategy], *, has_several: bool) -> None:
    """Print all strategies, the best first, and why others have no roots."""
    result = diagnosis_table("rank", "strategy", "blocks")
    ranked = [row for row in rows if not row.error]
    for place, row in enumerate(ranked, 1):
        cells = diagnosis_cells([asdict(diagnosis) for diagnosis in row.diagnoses])
        result.add_row(str(place), row.strategy, join_blocks(row.blocks), *cells)
    worst = " of the worst level; other columns show the worst level, too" if has_several else ""
    say(f"\nAll strategies, by max|q|{worst}")
    if ranked:
        say(result)
    failed = [row for row in rows if row.error]
    if failed:
        say("Without roots here:")
        for row in failed:
            say(f"  {row.strategy}: {row.error}")


def _ranked_document(row: RankedStrategy) -> dict[str, Any]:
    """Return a strategy of the comparison as plain data for JSON."""
    document: dict[str, Any] = {
        "strategy": row.strategy,
        "blocks": list(row.blocks),
        "max_abs": row.max_abs,
        "error": row.error or None,
        "levels": [
            {"roots": [[z.real, z.imag] for z in roots.tolist()], "diagnosis": asdict(diagnosis)}
            for roots, diagnosis in zip(row.roots, row.diagnoses, strict=True)
        ],
    }
    plain: dict[str, Any] = without_infinity(document)
    return plain
