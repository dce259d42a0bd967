"""Study files, names in tables and pictures, and numbers that are made to break the commands."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import fails, run
from matplotlib.figure import Figure

from polyroots.errors import PolyrootsError
from polyroots.plotting import save_figure
from polyroots.study import Machine, formats, make_plan
from polyroots.study.latex import latex
from polyroots.training import train_config
from polyroots_cli.spectrum.pictures import file_stem

EVIL = "\x1b[31m<script>\u202e\n\\input{x}~^"

_MANY = list(range(1, 996))

STUDIES = {
    "a = " + "[" * 100_000: "in too many others",
    "[" + ".".join("a" * 50_000) + "]": "in more than 100 others",
    ".".join("a" * 5000) + " = 1": "in more than|unknown part|too many",
    "[axes]\n" + "\n".join(f"{name} = {_MANY}" for name in ("epochs", "batch-size", "limit")): "got 985,074,875",
    f"[axes]\nepochs = {list(range(1, 2000))}": "1,000 values of epochs at most, got 1,999",
    '[axes]\nmodel = ["q4"]\nchannels = [true, 8]': "expected numbers for channels, got .True, 8.",
    "[base]\nbatch-size = 12345678901234567890123": "batch_size: ",
    "[base]\nepochs = 99999999999": "epochs: ",
    "[base]\ndegree = 99999999999": "below 2,000, got",
    "#" * 300_000: "bytes of text",
    "a = " + "9" * 5000: "not TOML",
    '[base]\nmodel = "' + "S," * 5000 + 'S"': "1,000 blocks at most, got 5,001",
}


@pytest.mark.parametrize("text", STUDIES, ids=range(len(STUDIES)))
def test_a_study_is_counted_before_it_is_built(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(PolyrootsError, match=STUDIES[text]) as caught:
        make_plan(path)
    assert time.process_time() - start < 4
    assert len(str(caught.value)) < 2100


@pytest.mark.parametrize(
    "options",
    [("--batch-size", 10**23), ("--epochs", 10**23), ("--degree", 10**12), ("--workers", 10**15), ("--limit", 10**30)],
)
def test_numbers_without_end_are_refused(tmp_path: Path, options: tuple[object, ...]) -> None:
    result = run("train", *options, "--out", tmp_path / "run", exit_code=2)
    assert "Error: " in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_number_of_jobs_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("[axes]\nmodel = ['q2', 'q4']")
    words = ("study", "run", path, "--out", tmp_path / "out", "--device", "cpu", "--jobs", 10**20 - 1)
    assert "expected a whole number from 1 to 10000, got " in fails(*words, exit_code=2)
    assert not (tmp_path / "out").exists()


def test_directories_of_data_have_any_name(tmp_path: Path, image_folder: Path) -> None:
    """A name in bytes that aren't UTF-8, and a link to itself."""
    text, path = "[base]\nmodel = 'q2'\ndataset = 'folder'\nchannels = [2, 4]\n", tmp_path / "study.toml"
    path.write_text(text)
    images = Path(shutil.copytree(image_folder, os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))
    plan, _ = make_plan(path, Machine(data_dir=images))
    assert [run.config.data_dir for run in plan.runs] == [images]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert train_config("folder", plan.runs[0].config.model, data_dir=loop).data_dir == loop


def test_names_are_no_markup_in_tables() -> None:
    cells = formats.Cells(("model", "weights"), ((EVIL, "1"),), 1, (f"Base: {EVIL}",))
    for written in (latex(cells), formats.markdown(cells)):
        assert all(line.isprintable() for line in written.splitlines())
        assert "\n\\input" not in written
    assert "<script>" not in formats.markdown(cells)
    assert r"\textasciitilde \textasciicircum " in latex(cells)
    assert r"\textbackslash x1b[31m" in latex(cells)


def test_names_of_pictures_fit_a_file_system() -> None:
    for name in ("层" * 100, "é" * 200, "a" * 300, "\U0001f600" * 99, EVIL):
        assert len(f".{file_stem(name, 12)}-singular-12345678.png".encode()) < 200


def test_a_picture_shows_no_control_characters(tmp_path: Path) -> None:
    figure = Figure()
    figure.suptitle(EVIL)
    save_figure(figure, tmp_path / "evil", ["svg"])
    assert "\n".join(text.get_text() for text in figure.texts) == "\\x1b[31m<script>\\u202e\n\\input{x}~^"


@pytest.mark.usefixtures("rough_pictures")
def test_one_picture_that_fails_does_not_lose_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polyroots_cli.spectrum import pictures

    def save(figure: Figure, stem: Path) -> object:
        if "second" in stem.name:
            raise ValueError("no room")
        return save_figure(figure, stem, ["png"])

    monkeypatch.setattr(pictures, "save_figure", save)
    torch.save({f"{name}.weight": torch.randn(3, 3, 3, 3) for name in ("层" * 90, "second", "c")}, tmp_path / "w.pt")
    result = run("spectrum", tmp_path / "w.pt", "--size", 4, "--plot", tmp_path / "out", exit_code=1)
    assert "1 picture of 4 can't be drawn, the others are in" in result.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize(
    "arguments",
    [
        ("spectrum", "LOOP"),
        ("evaluate", "LOOP"),
        ("report", "LOOP"),
        ("train", "--resume", "LOOP"),
        ("study", "plan", "LOOP"),
        ("init", "--out", "LOOP"),
        ("train", "--epochs", 1, "--limit", 20, "--out", "LOOP"),
        ("study", "table", "LOOP"),
    ],
)
def test_links_to_themselves_are_said(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    message = fails(*(tmp_path / "loop" if word == "LOOP" else word for word in arguments))
    assert "loop" in message
