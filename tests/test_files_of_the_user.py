"""What is in a directory already is not overwritten by a run, a study or an output, nor removed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from commands import fails
from small_runs import small
from small_studies import FOUR, four

import polyroots as pr
from polyroots.files import replacing
from polyroots.study import Machine, StudyDirectory, make_plan
from polyroots.training import open_data, train


@pytest.mark.parametrize(
    "name", ["config.json", "start.pt", "init.json", "metrics.csv", "last.pt", "best.pt", "result.json"]
)
def test_a_file_of_a_run_is_not_overwritten_by_an_output(tmp_path: Path, name: str) -> None:
    for file in ("config.json", name):
        (tmp_path / file).write_text("of a run")
    link = tmp_path / "link.npz"
    link.symlink_to(tmp_path / name)
    for words, path in (
        (["spectrum", "checkpoint.pt", "--csv"], tmp_path / name),
        (["spectrum", "checkpoint.pt", "--save"], link),
        (["init", "--out"], tmp_path / name),
        (["report", tmp_path, "--out"], link),
    ):
        message = fails(*words, path, exit_code=2)
        assert message.endswith(f"{path} is a file of a run, and would be overwritten; choose another name")
    assert (tmp_path / name).read_text() == "of a run"


@pytest.mark.parametrize("name", ["plan.json", "study.toml"])
def test_a_file_of_a_study_is_not_overwritten_by_an_output(tmp_path: Path, name: str) -> None:
    for file in ("plan.json", name):
        (tmp_path / file).write_text("of a study")
    message = fails("spectrum", "checkpoint.pt", "--csv", tmp_path / name, exit_code=2)
    assert message.endswith("is a file of a study, and would be overwritten; choose another name")


def test_a_file_of_a_run_may_be_a_link_or_a_tracked_spectrum(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (run / "spectra").mkdir(parents=True)
    elsewhere.mkdir()
    for file in (run / "config.json", run / "spectra" / "epoch-000001.npz", elsewhere / "last.pt"):
        file.write_text("of a run")
    (run / "last.pt").symlink_to(elsewhere / "last.pt")
    assert "is a file of a run" in fails("init", "--out", run / "last.pt", exit_code=2)
    tracked = run / "spectra" / "epoch-000001.npz"
    assert "is a file of a run" in fails("spectrum", "checkpoint.pt", "--save", tracked, exit_code=2)


@pytest.mark.parametrize("name", ["start.pt", "init.json", "result.json"])
def test_a_run_neither_takes_nor_removes_a_file_with_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    """A run that can't begin removes what it has written."""
    source = open_data("digits")
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("of the user")
    with pytest.raises(pr.FileError, match=rf"{name} is there, and has the name of a file of the run; choose another"):
        train(small(source), source, out)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "of the user"


@pytest.mark.parametrize(
    ("name", "content"), [("study.toml", "[base]\n"), ("plan.json", '{"steps": ["buy milk"]}'), ("plan.json", "[1]")]
)
def test_a_study_does_not_replace_files_of_other_things(tmp_path: Path, name: str, content: str) -> None:
    plan, description = make_plan(four(tmp_path), Machine(device="cpu"))
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(content)
    with pytest.raises(pr.FileError, match=rf"{name} is there, and is not that of a study here; choose another"):
        StudyDirectory(out).write(plan, description.text)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == content


def test_a_study_goes_on_after_an_error_between_its_two_files(tmp_path: Path) -> None:
    plan, description = make_plan(four(tmp_path, text=FOUR), Machine(device="cpu"))
    directory = StudyDirectory(tmp_path / "out")
    directory.path.mkdir()
    directory.description.write_text(description.text)
    directory.write(plan, description.text)
    directory.plan.write_text("{")
    assert directory.write(plan, description.text).runs == plan.runs


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="/dev/shm can't be written")
def test_a_file_in_shared_memory_is_replaced_as_any_other() -> None:
    """It is a directory of files, not of devices: written in place, a file would be lost by a full disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory) / "new" / "last.pt"
        with replacing(path) as temporary:
            temporary.write_text("old")
        before = path.stat().st_ino
        with replacing(path) as temporary:
            assert temporary.parent == path.parent
            temporary.write_text("new")
        assert (path.read_text(), path.stat().st_ino != before) == ("new", True)
