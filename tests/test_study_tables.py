"""Tables of studies: numbers against scipy's, missing runs, and all formats."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import fails, run
from numpy.typing import NDArray
from scipy import stats
from written_studies import MEASURES, MISSING, TEXT, drawn_accuracies, write_study

from polyroots.errors import FileError, InputError
from polyroots.study import Difference, Sample, StudyDirectory, study_table
from polyroots.study.formats import cross_cells, long_cells


@pytest.fixture(scope="module")
def accuracies() -> dict[str, tuple[float, float]]:
    return drawn_accuracies()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, accuracies: dict[str, tuple[float, float]]) -> StudyDirectory:
    return write_study(tmp_path_factory.mktemp("tables"), TEXT, accuracies, MISSING)


def _values(
    accuracies: dict[str, tuple[float, float]], stem: str, measure: int, seeds: Sequence[int] = (11, 23, 31, 43)
) -> NDArray[Any]:
    return np.array([accuracies[f"{stem}_seed-{seed}"][measure] for seed in seeds])


def test_means_and_deviations_are_those_of_the_runs_that_are_done(
    study: StudyDirectory, accuracies: dict[str, tuple[float, float]]
) -> None:
    rows = {tuple(row.settings.values()): row for row in study_table(study).rows}
    assert list(rows) == [
        *(("q2", "spectrum"), ("q2", "xavier"), ("q4", "spectrum"), ("q4", "xavier"), ("mgnet-ab", None)),
    ]
    for key, stem, seeds in [
        (("q2", "spectrum"), "q2_alpha-init-spectrum", (11, 23, 31, 43)),
        (("q4", "xavier"), "q4_alpha-init-xavier", (11, 23)),
        (("mgnet-ab", None), "mgnet-ab", (11, 31, 43)),
    ]:
        for index, measure in enumerate(MEASURES):
            sample, values = rows[key].samples[measure], _values(accuracies, stem, index, seeds)
            assert sample.mean == pytest.approx(np.mean(values), rel=1e-14)
            assert sample.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-12)
            assert len(sample) == len(seeds)
        assert (rows[key].planned, rows[key].epochs) == (4, 3)


def test_differences_are_paired_and_their_intervals_those_of_scipy(accuracies: dict[str, tuple[float, float]]) -> None:
    stems = "q2_alpha-init-spectrum", "q2_alpha-init-xavier"
    seeds = (11, 23, 31, 43)
    one, other = (Sample(dict(zip(seeds, _values(accuracies, stem, 0), strict=True))) for stem in stems)
    difference = Difference.between(one, other)
    theirs = stats.ttest_rel(list(one.values.values()), list(other.values.values())).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((theirs.low, theirs.high), rel=1e-10)
    assert difference.mean == pytest.approx(one.mean - other.mean, rel=1e-10)
    # Only seeds that both have are compared.
    fewer = Sample({23: other.values[23], 43: other.values[43], 99: 0.9})
    difference = Difference.between(one, fewer)
    expected = float(np.mean([one.values[seed] - other.values[seed] for seed in (23, 43)]))
    assert difference.count == 2
    assert difference.mean == pytest.approx(expected, rel=1e-12)
    single = Difference.between(one, Sample({11: 0.5}))
    assert (single.count, np.isnan(single.low), np.isnan(single.high)) == (1, True, True)
    assert Difference.between(one, Sample({99: 0.5})) is None


def _row(cells: Any, *names: str) -> dict[str, str]:
    (row,) = [row for row in cells.rows if row[: len(names)] == names]
    return dict(zip(cells.heads, row, strict=True))


def test_a_line_has_everything_and_keeps_last_and_best_apart(
    study: StudyDirectory, accuracies: dict[str, tuple[float, float]]
) -> None:
    cells = long_cells(study_table(study))
    values = {m: _values(accuracies, "q2_alpha-init-xavier", i) * 100 for i, m in enumerate(("last", "best"))}
    row = _row(cells, "q2", "xavier")
    for measure, found in values.items():
        assert row[f"{measure} epoch"] == f"{found.mean():.2f} +- {found.std(ddof=1):.2f}"
    base = _values(accuracies, "q2_alpha-init-spectrum", 0) * 100
    interval = stats.ttest_rel(values["last"], base).confidence_interval(0.95)
    assert row["difference"] == f"{values['last'].mean() - base.mean():+.2f}"
    assert row["95 % interval"] == f"[{interval.low:+.2f}, {interval.high:+.2f}]"
    assert (row["seeds"], row["pairs"], row["epochs"]) == ("4", "4", "3")
    assert _row(cells, "q2", "spectrum")["difference"] == "base"
    assert _row(cells, "q4", "xavier")["seeds"] == "2 of 4"
    assert _row(cells, "mgnet-ab", "-")["weights"] == f"{study.read().runs[4].weights:,}"
    assert "the first row of the study, q2, spectrum" in cells.notes[2]
    assert "optimistic" in cells.notes[1]


def test_a_base_is_the_same_row_but_for_what_it_names(
    study: StudyDirectory, accuracies: dict[str, tuple[float, float]]
) -> None:
    table = study_table(study)
    cells = long_cells(table, base={"alpha-init": "xavier"})
    assert [row[-3] for row in cells.rows][1::2] == ["base", "base"]
    expected = _values(accuracies, "q4_alpha-init-spectrum", 0, (11, 23)) - _values(
        accuracies, "q4_alpha-init-xavier", 0, (11, 23)
    )
    assert _row(cells, "q4", "spectrum")["difference"] == f"{100 * expected.mean():+.2f}"
    assert _row(cells, "q4", "spectrum")["pairs"] == "2"
    assert _row(cells, "mgnet-ab", "-")["difference"] == "-"
    # MgNet has one row, as it has no coefficients.
    alone = long_cells(table, base={"model": "mgnet-ab"})
    assert [row["difference"] == "base" for row in (_row(alone, "mgnet-ab"), _row(alone, "q2", "xavier"))] == [
        True,
        False,
    ]
    assert _row(alone, "q2", "xavier")["pairs"] == "3"
    one = long_cells(table, base={"model": "q4", "alpha-init": "spectrum"})
    assert _row(one, "q4", "spectrum")["difference"] == "base"
    assert _row(one, "mgnet-ab", "-")["difference"] != "-"


def test_columns_are_values_and_nothing_else_is_averaged(
    study: StudyDirectory, accuracies: dict[str, tuple[float, float]]
) -> None:
    table = study_table(study)
    cells = cross_cells(table, ["alpha-init"], measure="best")
    assert cells.heads == ("model", "weights", "epochs", "spectrum", "xavier", "no alpha-init")
    best = 100 * _values(accuracies, "q4_alpha-init-spectrum", 1)
    assert _row(cells, "q4")["spectrum"] == f"{best.mean():.2f} +- {best.std(ddof=1):.2f} (4)"
    assert _row(cells, "q4")["xavier"].endswith(" (2 of 4)")
    assert _row(cells, "mgnet-ab")["spectrum"] == "-"
    assert "best epoch" in cells.notes[0]
    turned = cross_cells(table, ["model"])
    assert turned.heads == ("alpha-init", "weights", "epochs", "q2", "q4", "mgnet-ab")
    assert [row[0] for row in turned.rows] == ["spectrum", "xavier", "-"]
    compared = cross_cells(table, ["alpha-init"], base={"alpha-init": "spectrum"})
    assert _row(compared, "q2")["spectrum"] == "base"
    for index, measure in enumerate(MEASURES):
        compared = cross_cells(table, ["alpha-init"], measure=measure, base={"alpha-init": "spectrum"})
        pair = [100 * _values(accuracies, f"q2_alpha-init-{kind}", index) for kind in ("xavier", "spectrum")]
        interval = stats.ttest_rel(*pair).confidence_interval(0.95)
        assert _row(compared, "q2")["xavier"] == (
            f"{(pair[0] - pair[1]).mean():+.2f} [{interval.low:+.2f}, {interval.high:+.2f}] (4)"
        )
        assert ("optimistic" in " ".join(compared.notes)) == (measure == "best")
    weights = sorted({row.weights for row in table.rows if row.settings["alpha-init"] == "spectrum"})
    assert _row(turned, "spectrum")["weights"] == f"{weights[0]:,} to {weights[1]:,}"
    assert _row(compared, "mgnet-ab")["no alpha-init"] == "-"


def test_what_is_missing_is_shown_as_missing(tmp_path: Path, accuracies: dict[str, tuple[float, float]]) -> None:
    empty = write_study(tmp_path, TEXT, accuracies, missing=tuple(accuracies))
    cells = long_cells(study_table(empty))
    assert {row[-5] for row in cells.rows} == {"missing"}
    assert {row[-6] for row in cells.rows} == {"0 of 4"}
    assert {row[-3] for row in cells.rows[1:]} == {"-"}
    assert not [note for note in cells.notes if note.startswith("Best")]
    assert set(cross_cells(study_table(empty), ["alpha-init"]).rows[0][3:]) == {"missing", "-"}
    assert "missing" in run("study", "table", empty.path).stdout


def test_a_single_seed_has_no_spread(tmp_path: Path, accuracies: dict[str, tuple[float, float]]) -> None:
    single = write_study(tmp_path, TEXT.replace("[11, 23, 31, 43]", "[11]"), accuracies)
    row = _row(long_cells(study_table(single)), "q4", "xavier")
    last = 100 * accuracies["q4_alpha-init-xavier_seed-11"][0]
    assert row["last epoch"] == f"{last:.2f}"
    assert (row["seeds"], row["95 % interval"]) == ("1", "-")
    assert row["difference"] != "-"


def test_best_epochs_of_validation_are_said_to_be(tmp_path: Path, accuracies: dict[str, tuple[float, float]]) -> None:
    held_out = write_study(tmp_path, TEXT, accuracies, chosen_on="validation")
    assert "on the validation images." in long_cells(study_table(held_out)).notes[1]
    path = held_out.run("mgnet-ab_seed-11").result
    path.write_text(path.read_text().replace("validation", "test"))
    assert "of some runs chosen on the validation images, of others" in long_cells(study_table(held_out)).notes[1]


def test_csv_has_every_digit(study: StudyDirectory, accuracies: dict[str, tuple[float, float]]) -> None:
    rows = list(csv.DictReader(io.StringIO(run("study", "table", study.path, "--format", "csv").stdout)))
    assert len(rows) == 5
    values = _values(accuracies, "q2_alpha-init-xavier", 0)
    assert float(rows[1]["last_mean"]) == pytest.approx(values.mean(), rel=1e-14)
    assert float(rows[1]["last_deviation"]) == pytest.approx(values.std(ddof=1), rel=1e-12)
    best = _values(accuracies, "q2_alpha-init-xavier", 1)
    assert float(rows[1]["best_mean"]) == pytest.approx(best.mean(), rel=1e-14)
    assert float(rows[1]["best_deviation"]) == pytest.approx(best.std(ddof=1), rel=1e-12)
    base = _values(accuracies, "q2_alpha-init-spectrum", 0)
    interval = stats.ttest_rel(values, base).confidence_interval(0.95)
    assert float(rows[1]["difference"]) == pytest.approx((values - base).mean(), rel=1e-10)
    assert float(rows[1]["difference_low"]) == pytest.approx(interval.low, rel=1e-10)
    assert float(rows[1]["difference_high"]) == pytest.approx(interval.high, rel=1e-10)
    assert rows[1]["difference_pairs"] == "4"
    assert (rows[3]["seeds_planned"], rows[3]["seeds_done"]) == ("4", "2")
    assert (rows[0]["difference"], rows[4]["alpha-init"]) == ("", "")
    runs = list(csv.DictReader(io.StringIO(run("study", "table", study.path, "--runs", "--format", "csv").stdout)))
    assert len(runs) == 20 - len(MISSING)
    pair = accuracies["q2_alpha-init-spectrum_seed-11"]
    assert (float(runs[0]["last"]), float(runs[0]["best"])) == pair
    printed = run("study", "table", study.path, "--runs").stdout.splitlines()
    assert printed[4].split()[-2:] == [f"{100 * value:.2f}" for value in pair]
    assert runs[0]["weights"] == str(study.read().runs[0].weights)


def test_channels_stay_what_they_are_in_csv(tmp_path: Path) -> None:
    text = '[base]\nmodel = "q2"\nepochs = 3\n[axes]\nchannels = [[4, 8], [48]]\n'
    names = ("channels-4-8_seed-7", "channels-48_seed-7")
    channels = write_study(tmp_path, text, dict.fromkeys(names, (0.5, 0.6)))
    for words in (("--runs",), ("--columns", "channels"), ()):
        output = run("study", "table", channels.path, "--format", "csv", *words).stdout
        assert '"4,8"' in output
        assert re.search(r"(^|,)48(,|$)", output, re.MULTILINE)


def test_each_row_has_its_epochs(tmp_path: Path) -> None:
    text = '[base]\nmodel = "q2"\nchannels = [4]\n[axes]\nepochs = [3, 5]\n'
    both = write_study(tmp_path, text, dict.fromkeys(("epochs-3_seed-7", "epochs-5_seed-7"), (0.5, 0.6)))
    assert [row.epochs for row in study_table(both).rows] == [3, 5]
    for words in ((), ("--format", "csv"), ("--runs",)):
        assert run("study", "table", both.path, *words).stdout.count("epochs") == 1


def test_columns_are_named_once(tmp_path: Path) -> None:
    text = '[base]\nchannels = [4]\n[axes]\nmodel = ["q2", "q4"]\nepochs = [3, 5]\n'
    names = [f"{model}_epochs-{epochs}_seed-7" for model in ("q2", "q4") for epochs in (3, 5)]
    grid = write_study(tmp_path, text, dict.fromkeys(names, (0.5, 0.6)))
    assert cross_cells(study_table(grid), ["model"]).heads == ("epochs", "weights", "q2", "q4")
    assert cross_cells(study_table(grid), ["epochs"]).heads == ("model", "weights", "epochs", "3", "5")


def test_rows_sort_and_come_first(study: StudyDirectory) -> None:
    cells = long_cells(study_table(study), ["alpha-init"])
    assert cells.heads[:2] == ("alpha-init", "model")
    assert [row[:2] for row in cells.rows] == [
        *(("spectrum", "q2"), ("spectrum", "q4"), ("xavier", "q2"), ("xavier", "q4"), ("-", "mgnet-ab")),
    ]


def test_mistakes_have_a_sentence(study: StudyDirectory, tmp_path: Path) -> None:
    for words, said in [
        (("--rows", "modle"), "unknown setting in which the runs of this study differ 'modle': did you mean 'model'"),
        (("--columns", "lr"), "unknown setting in which the runs of this study differ 'lr'"),
        (("--rows", "model", "--columns", "model"), "expected model in rows or in columns, got it in both"),
        (("--base", "model"), "expected --base KEY=VALUE, got 'model'"),
        (("--base", "model=q3"), "unknown model of this study 'q3'"),
        (("--base", "model=mgnet-ab", "--base", "alpha-init=xavier"), "no row of this study has model=mgnet-ab"),
        (("--measure", "best"), "--measure is for --columns"),
        (("--runs", "--columns", "model"), "--runs shows single runs"),
    ]:
        assert said in fails("study", "table", study.path, *words, exit_code=2)
    assert "expected the plan of a study" in fails("study", "table", tmp_path)
    assert "no directory" in fails("study", "table", tmp_path / "none")
    with pytest.raises(InputError, match="unknown setting"):
        cross_cells(study_table(study), ["seed"])


def test_a_damaged_result_is_said(tmp_path: Path, accuracies: dict[str, tuple[float, float]]) -> None:
    broken = write_study(tmp_path, TEXT, accuracies)
    path = broken.run("mgnet-ab_seed-11").result
    for text in ("{", '{"last": 3}', "[]"):
        path.write_text(text)
        with pytest.raises(FileError, match=re.escape(str(path))):
            study_table(broken)
