"""Tables of studies in Markdown and LaTeX, the best in bold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from commands import fails, run
from written_studies import MISSING, TEXT, drawn_accuracies, write_study

from polyroots.study import StudyDirectory, study_table
from polyroots.study.formats import Cells, cross_cells, long_cells, markdown, run_cells
from polyroots.study.latex import latex


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyDirectory:
    return write_study(tmp_path_factory.mktemp("tables"), TEXT, drawn_accuracies(), MISSING)


def test_markdown_has_a_rule_and_no_loose_bars() -> None:
    cells = Cells(("a", "b"), (("x|y", "1.00 +- 0.10"),), 1, ("A note +- this.",))
    assert markdown(cells) == "| a | b |\n| --- | ---: |\n| x\\|y | 1.00 ± 0.10 |\n\nA note ± this.\n"


def test_latex_escapes_what_has_a_meaning_there() -> None:
    cells = Cells(("a_b", "95 % interval"), (("A&B #1 {x} $", "1.00 +- 0.10"),), 1, ("100 %",))
    lines = latex(cells).splitlines()
    assert lines[:3] == ["% 100 %", r"% \usepackage{booktabs}", r"\begin{tabular}{lr}"]
    assert lines[4] == r"  a\_b & 95 \% interval \\"
    assert lines[6] == r"  A\&B \#1 \{x\} \$ & $1.00 \pm 0.10$ \\"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,385,554 to 2,749,514", "$1{,}385{,}554$ to $2{,}749{,}514$"),
        ("-1.20", "$-1.20$"),
        ("-1.20 [-2.00, +0.50] (4)", "$-1.20$ $[-2.00, +0.50]$ ($4$)"),
        ("53.24 +- 1.30 (2 of 4)", r"$53.24 \pm 1.30$ ($2$ of $4$)"),
        ("-", "--"),
        ("missing", "missing"),
    ],
)
def test_latex_has_numbers_in_math(text: str, expected: str) -> None:
    assert latex(Cells(("a", "b"), (("x", text),), 1, ())).splitlines()[5] == rf"  x & {expected} \\"
    bold = latex(Cells(("a", "b"), (("x", text),), 1, (), frozenset({(0, 1)})), bold=True)
    assert bold.splitlines()[5] == rf"  x & \textbf{{\boldmath {expected}}} \\"


def test_latex_names_keep_their_commas() -> None:
    (line,) = [line for line in latex(Cells(("a",), (("[64,128]",),), 1, ())).splitlines() if "64" in line]
    assert line == r"  {}[64,128] \\"
    assert "\n  64,128,256 & $-0.5$ " in latex(Cells(("a", "b"), (("64,128,256", "-0.5"),), 2, ()))


def test_the_best_is_marked_on_request(study: StudyDirectory) -> None:
    """The row, or the cell of each column, whose mean over the seeds is the largest."""
    table = study_table(study)
    means = {tuple(row.settings.values()): row.samples["last"].mean for row in table.rows}
    model, alphas = max(means, key=lambda key: means[key])
    cells = long_cells(table)
    assert cells.best == {(list(means).index((model, alphas)), column) for column in range(len(cells.heads))}
    cross = cross_cells(table, ["alpha-init"])
    for column, name in ((3, "spectrum"), (4, "xavier")):
        ((row, _),) = [place for place in cross.best if place[1] == column]
        assert cross.rows[row][0] == max(("q2", "q4"), key=lambda model: means[model, name])
    compared = cross_cells(table, ["model"], base={"model": "q4"})
    for column in (3, 4, 5):
        shown = [row[column].split(" ")[0] for row in compared.rows]
        numbers = {row: float(cell) for row, cell in enumerate(shown) if cell not in ("-", "base")}
        expected = [max(numbers, key=lambda row: numbers[row])] if numbers else []
        assert [row for row, place in sorted(compared.best) if place == column] == expected
    runs = run_cells(table)
    ((best, _), *_) = runs.best
    assert float(runs.rows[best][-2]) == max(float(row[-2]) for row in runs.rows)
    for form, mark in (("latex", r"\textbf"), ("markdown", "**")):
        words = ("study", "table", study.path, "--format", form)
        assert mark not in run(*words).stdout
        marked = [line for line in run(*words, "--bold-best").stdout.splitlines() if mark in line]
        assert len(marked) == 1
        assert f" {model}" in marked[0].replace(r"\textbf{\boldmath", "").replace("**", "")


def test_captions_and_labels_are_of_latex(study: StudyDirectory) -> None:
    words = ("study", "table", study.path, "--format")
    lines = run(*words, "latex", "--caption", "90 % of $q_4$\n& more", "--label", "tab:a").stdout.splitlines()
    assert r"  \caption{90 \% of $q_4$ \& more}" in lines
    assert r"  \label{tab:a}" in lines
    assert (lines[-1], lines.count(r"\begin{table}")) == (r"\end{table}", 1)
    fitted = run(*words, "latex", "--fit").stdout.splitlines()
    begin, end = fitted.index(r"\begin{adjustbox}{max width=\linewidth}"), fitted.index(r"\end{adjustbox}")
    assert r"% \usepackage{adjustbox,booktabs}" in fitted[:begin]
    assert [line.strip() for line in fitted if "tabular" in line] == [fitted[n].strip() for n in (begin + 1, end - 1)]
    for given, said in [
        (("text", "--fit"), "--fit is for --format latex; leave it out"),
        (("markdown", "--caption", "x"), "--caption is for --format latex; leave it out"),
        (("csv", "--bold-best"), "--bold-best is for --format latex or markdown; leave it out"),
        (("latex", "--label", "a b"), "expected a label of letters, digits and :._- such as tab:accuracy, got 'a b'"),
    ]:
        assert said in fails(*words, *given, exit_code=2)


@pytest.mark.slow
def test_latex_compiles(study: StudyDirectory, tmp_path: Path) -> None:
    """All kinds of tables, with hostile names, in the plainest document that has booktabs."""
    compiler = next(filter(shutil.which, ("tectonic", "pdflatex")), None)
    if compiler is None:
        pytest.skip("needs tectonic or pdflatex")
    table = study_table(study)
    hostile = Cells(
        ("[h]", "95 % |q| <1>"),
        (("[2pt]", "[-1.00, +2.00]"), ("*", "-"), ("a\\input{x}^~{}$#%&_\x1b", '"1" +- 2')),
        1,
        ("a note\n\\undefined",),
        frozenset({(0, 0), (0, 1), (2, 0), (2, 1)}),
    )
    every = [
        *(long_cells(table), long_cells(table, base={"model": "q4"}), run_cells(table), hostile),
        *(cross_cells(table, ["alpha-init"]), cross_cells(table, ["model"], base={"model": "q2"})),
    ]
    tables = [latex(cells, caption="95 % of $|q|$", label=f"tab:{i}", bold=True) for i, cells in enumerate(every)]
    tables += [latex(cells) + "\n" for cells in every]
    printed = _compile(compiler, "booktabs", tables, tmp_path)
    assert "Misplaced" not in printed
    # Each of them has more columns than a line of an article has room for.
    assert "Overfull" in printed
    if compiler == "tectonic" or subprocess.run(["kpsewhich", "adjustbox.sty"], capture_output=True).returncode == 0:
        fitted = [latex(cells, caption=caption, fit=True) + "\n" for cells in every for caption in (None, "all")]
        assert "Overfull" not in _compile(compiler, "adjustbox,booktabs", fitted, tmp_path)


def _compile(compiler: str, packages: str, tables: list[str], directory: Path) -> str:
    """Return what a compiler of LaTeX prints of a document with some tables."""
    begin = rf"\documentclass{{article}}\usepackage{{{packages}}}\begin{{document}}"
    (directory / "t.tex").write_text("\n".join([begin, *tables, r"\end{document}", ""]))
    options = [] if compiler == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    result = subprocess.run([compiler, *options, "t.tex"], cwd=directory, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert (directory / "t.pdf").read_bytes().startswith(b"%PDF")
    return result.stdout + result.stderr
