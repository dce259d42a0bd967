"""Plans of studies: those of studies/, their files, and estimates of the time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from commands import run
from small_studies import TEXT, written

from polyroots.errors import FileError
from polyroots.study import StudyDirectory, estimate, make_plan, timing

STUDIES = sorted((Path(__file__).parent.parent / "studies").glob("*.toml"))


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a study file, with parts of it replaced."""
    return partial(written, tmp_path)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_that_come_with_polyroots_are_sound(path: Path) -> None:
    plan, description = make_plan(path)
    assert description.question.endswith("?")
    assert len(plan.runs) == len(description.combinations) * len(plan.seeds)
    for runs in plan.by_combination():
        assert len({repr(r.config.model_copy(update={"seed": 0})) for r in runs}) == 1
    # No two runs have the same configuration.
    configs = [r.config.model_dump_json() for r in plan.runs]
    assert len(set(configs)) == len(configs)
    if path.stem not in ("quick", "coefficients", "coefficients-finals"):
        assert {(r.config.dataset, r.config.epochs) for r in plan.runs} == {("cifar10", 400)}


def test_there_is_a_study_for_each_subject_of_the_paper() -> None:
    assert {path.stem for path in STUDIES} >= {
        *("initial-coefficients", "degree", "relu-placement", "batch-norm-placement", "accuracy-weights"),
        *("roots-in-smoothers", "coefficients", "quick"),
    }


def test_weights_are_those_of_the_networks() -> None:
    plan, _ = make_plan(next(path for path in STUDIES if path.stem == "accuracy-weights"))
    weights = {(r.settings["model"], r.settings["scale"]): r.weights for r in plan.runs}
    assert weights["q2", 1] == 1_385_554
    assert weights["q8", 1] == 1_391_198
    assert weights["mgnet-ab", 1] == 2_749_514
    assert weights["resnet18", 1] == 11_173_962
    assert weights["resnet20", None] == 269_722


def test_a_plan_is_stored_and_read_again(study: Callable[..., Path], tmp_path: Path) -> None:
    plan, description = make_plan(study())
    directory = StudyDirectory(tmp_path / "out")
    assert directory.write(plan, description.text) == plan
    assert directory.read() == plan
    assert directory.description.read_text() == TEXT
    (tmp_path / "out" / "plan.json").write_text('{"title": "Test"}')
    with pytest.raises(FileError, match="is damaged"):
        directory.read()
    assert directory.write(plan, description.text) == plan == directory.read()
    with pytest.raises(FileError, match="no directory"):
        StudyDirectory(tmp_path / "none").read()


@pytest.mark.slow
def test_the_command_prints_runs_weights_and_time(study: Callable[..., Path]) -> None:
    path = study()
    output = run("study", "plan", path, "--device", "cpu").stdout
    assert f"  polyroots study run {path} --out results/{path.stem} --device cpu\n" in output
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in output.splitlines() if line.startswith(" ")}
    plan, _ = make_plan(path)
    for runs in plan.by_combination():
        first = runs[0]
        words = rows[first.settings["model"], first.settings["alpha-init"] or "-"]
        assert words[:3] == [f"{first.weights:,}", "2", "2"]
        assert words[4] in ("s", "min")
    assert "10 runs, seeds 11, 23" in output
    assert "one after another on cpu" in output
    document = json.loads(run("study", "plan", path, "--no-timing", "--json").stdout)
    assert [r["name"] for r in document["runs"]] == [r.name for r in plan.runs]
    assert document["seconds"] is None


def test_time_follows_from_steps_and_evaluated_images(
    study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_time", lambda config: ("a device", 1000.0, 1.0))
    # Digits: 1,437 images for training and 360 for testing.
    for changes, steps, evaluated in [
        ("batch-size = 64\nepochs = 3", 3 * 23, 3 * 360),
        ("batch-size = 64\nepochs = 3\nlimit = 128", 3 * 2, 3 * 128),
        ("batch-size = 100\nepochs = 5\nval-fraction = 0.1", 5 * 13, 5 * 144 + 2 * 360),
    ]:
        plan, _ = make_plan(study(text=f"[base]\n{changes}\n"))
        found = estimate(plan)
        assert found.total == pytest.approx(steps * 1000 + evaluated)
        assert found.device == "a device"


def test_what_makes_steps_differ_is_timed_by_itself(
    study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = []
    monkeypatch.setattr(timing, "_time", lambda config: timed.append(config) or ("a device", 1.0, 0.0))
    text = (
        '[base]\nmodel = "q2"\nepochs = 1\n[axes]\nlr = [0.1, 0.2]\nbatch-size = [16, 32]\nprecision = ["32", "bf16"]\n'
    )
    found = estimate(make_plan(study(text=text))[0])
    assert sorted((c.batch_size, c.precision) for c in timed) == [(16, "32"), (16, "bf16"), (32, "32"), (32, "bf16")]
    assert len(found.seconds) == 8
    monkeypatch.undo()
    # The time of an evaluation is per image, not per batch.
    (run_,) = make_plan(study(text="[base]\nchannels = [4, 8]\nlimit = 8\n"))[0].runs
    _, step, evaluation = timing._time(run_.config)
    assert 0 < evaluation < step
    # With one thread the time in which the process waits for its turn doesn't count.
    clocks = []
    monkeypatch.setattr(timing, "_median", lambda function, wait, clock: clocks.append(clock) or 1.0)
    timing._time(run_.config)
    assert clocks == [time.process_time] * 2
    monkeypatch.undo()
    ticks = iter(range(0, 1000, 7))
    assert timing._median(lambda: None, lambda: None, lambda: float(next(ticks))) == 7


def test_images_are_counted_without_reading_them(image_folder: Path) -> None:
    from polyroots.training import describe_data, open_data

    for name, data_dir in (("digits", None), ("folder", image_folder)):
        source = open_data(name, data_dir)
        data = source.load()
        assert source.counts == (len(data.train), len(data.test))
    assert describe_data("cifar10").counts == (50_000, 10_000)
