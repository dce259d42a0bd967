"""What ``polyroots init`` prints and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyroots.files import without_infinity
from polyroots.polynomials import ResidualPolynomial, join_blocks
from polyroots.text import count_of

from .console import dimensions, print_json, progress, say
from .network import diagnosis_cells, diagnosis_table, inert_sentences, levels_tables, origin_of

if TYPE_CHECKING:
    from polyroots.initialization import InitReport, Row
    from polyroots.models import PolyMgNet

    from .init_subject import Subject

# Of more levels the sentences are left to --json.
_FEW = 8


def print_report(
    subject: Subject,
    report: InitReport | None,
    rows: Sequence[Row],
    region: str,
    as_json: bool,
    network: PolyMgNet | None = None,
    *,
    is_asked: bool = True,
    error: str = "",
) -> None:
    """Print the levels with roots, coefficients and diagnosis, and the comparison of strategies."""
    if as_json:
        print_json(
            {
                "model": None if network is None else network.config.model_dump(mode="json"),
                "seed": subject.seed,
                "geometry_assumed": subject.assumption or None,
                "skipped": [{"name": name, "reason": reason} for name, reason in subject.skipped.items()],
                **({"error": error or None} if report is None else report.to_dict()),
                "comparison": [_row_document(row) for row in rows],
            }
        )
        return
    if subject.assumption:
        say(subject.assumption)
    what = "the high frequencies" if region == "high" else "the spectrum"
    legend = (
        f"max|q|, mean|q|, rms, damped (share with |q| < 1, cut): over {what}, null space left out. smoothing: max|q| "
        "over the high frequencies.\n|q(A)|: norm. growth: largest partial product. best possible: max|q| of the best "
        "polynomial with as many roots."
    )
    if report is not None and is_asked:
        document = report.to_dict()
        name = "" if network is None else f"{network.config.title}: "
        blocks = tuple(block.letter for block in report.levels[0].blocks)
        if network is not None:
            blocks = network.config.blocks
        say(
            f"{name}blocks {join_blocks(blocks)}, degree {report.degree}, {origin_of(document)}, {subject.title}, "
            f"{report.padding} padding"
        )
        say(*levels_tables(document))
        say(legend)
        say(*inert_sentences(document))
        _say_in_words(document["levels"])
    if rows:
        if not (report is not None and is_asked):
            say(f"{subject.title}\n{legend}")
        _print_comparison(rows, many=len(subject.operands) > 1)
    if subject.skipped:
        say(f"Left out: {'; '.join(f'{name} ({reason})' for name, reason in subject.skipped.items())}")


def draw(subject: Subject, report: InitReport, directory: Path) -> None:
    """Draw |q| around each spectrum."""
    from polyroots.plotting import draw_contours, save_figure

    from .spectrum.pictures import file_stem

    with progress() as bar:
        task = bar.add_task("pictures", total=len(report.levels))
        for operand, level in zip(subject.operands, report.levels, strict=True):
            bar.advance(task)
            if operand.spectrum is None:
                continue
            operator = operand.operator
            title = f"{operand.title}, {dimensions(operator.weight.shape)} at {dimensions(operator.size)}"
            roots = [complex(*root) for block in level.blocks for root in block.roots]
            title += f"\n'{report.strategy or report.alpha_init}', {count_of(len(roots), 'root')}"
            figure = draw_contours(
                operand.spectrum.values,
                ResidualPolynomial(roots),
                title.replace("$", r"\$"),
                chosen=operand.spectrum.is_high_frequency if operand.target.region == "high" else None,
            )
            save_figure(figure, directory / file_stem(operand.title.replace(" ", ""), operand.number))


def _say_in_words(levels: Sequence[Mapping[str, Any]]) -> None:
    if len(levels) > _FEW:
        say("What these numbers mean, level by level, is in --json.")
        return
    for level in levels:
        say(f"\n{level['title']}")
        for sentence in (*level["words"], *(f"{remark[0].upper()}{remark[1:]}." for remark in level["remarks"])):
            say(f"  {sentence}")


def _print_comparison(rows: Sequence[Row], *, many: bool) -> None:
    """Print all strategies, the best first, and why others have no roots."""
    result = diagnosis_table("rank", "strategy", "blocks")
    ranked = [row for row in rows if not row.error]
    for place, row in enumerate(ranked, 1):
        cells = diagnosis_cells([asdict(diagnosis) for diagnosis in row.diagnoses])
        result.add_row(str(place), row.strategy, join_blocks(row.blocks), *cells)
    say(
        "\nAll strategies, by max|q|" + (" of the worst level; other columns show the worst level, too" if many else "")
    )
    if ranked:
        say(result)
    failed = [row for row in rows if row.error]
    if failed:
        say("Without roots here:")
        for row in failed:
            say(f"  {row.strategy}: {row.error}")


def _row_document(row: Row) -> dict[str, Any]:
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
