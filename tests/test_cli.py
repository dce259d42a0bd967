from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import fails, run
from forked import on_a_terminal
from torch import nn

from polyroots.checkpoints.own import Checkpoint, load_checkpoint, save_checkpoint
from polyroots.models import NAMES


def test_train_prints_levels_epochs_accuracy_and_next_steps(trained: tuple[Path, str]) -> None:
    out, printed = trained
    assert re.search(r"1 +8x8 +6 +\d", printed)
    assert re.search(r"2 +4x4 +12 +\d", printed)
    assert re.search(r"1 +L +-?\d.*\n +L +-?\d.*\n +C +-?[\d.]+ \+- [\d.]+i +-?[\d.]+ +-[\d.]+\n", printed)
    assert "epoch 2/2  train loss" in printed
    last = load_checkpoint(out / "last.pt").training["state"]["history"][-1]
    assert f"last epoch {last['test_accuracy']:.2%}, best epoch" in printed
    for command in ("evaluate", "spectrum", "figures --only 3 --checkpoint"):
        assert f"  polyroots {command} {out / 'last.pt'}" in printed
    assert "\x1b" not in printed  # plain text in a log


@pytest.mark.slow
@pytest.mark.usefixtures("rough_pictures")
def test_the_next_commands_run(trained: tuple[Path, str], tmp_path: Path) -> None:
    _, printed = trained
    commands = [line.split()[1:] for line in printed.splitlines() if line.startswith("  polyroots ")]
    assert [command[0] for command in commands] == ["evaluate", "spectrum", "figures", "report"]
    for command in commands:
        run(*(str(tmp_path) if word == "figures" and i else word for i, word in enumerate(command)))
    assert {path.stem for path in tmp_path.iterdir()} == {"figure3-level1", "figure3-level1-flat"}


def test_train_on_a_folder(image_folder: Path, tmp_path: Path) -> None:
    result = run(
        *("train", "--dataset", "folder", "--data-dir", image_folder, "--model", "q2", "--channels", "4,8"),
        *("--epochs", 1, "--batch-size", 8, "--lr", 0.05, "--augment", "none", "--seed", 3, "--out", tmp_path / "run"),
    )
    assert "q2, " in result.stdout
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["model"]["channels"] == [4, 8]
    assert config["model"]["num_classes"] == 2
    assert (config["batch_size"], config["lr"], config["augment"], config["seed"]) == (8, 0.05, "none", 3)


def test_degree_chooses_the_blocks(tmp_path: Path) -> None:
    run("train", "--degree", 2, "--channels", 4, "--epochs", 1, "--limit", 20, "--out", tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").config.blocks == ("L", "C")


def test_evaluate(trained: tuple[Path, str]) -> None:
    out, _ = trained
    result = run("evaluate", out / "last.pt", "--limit", 60)
    expected = load_checkpoint(out / "last.pt").training["state"]["history"][-1]["test_accuracy"]
    assert f"60 test images of digits: accuracy {expected:.2%}" in result.stdout
    document = json.loads(run("evaluate", out / "last.pt", "--json").stdout)
    assert document["images"] == 360
    assert (document["dataset"], document["model"], document["epoch"]) == ("digits", "q4", 2)


def test_init_prints_and_writes_what_starts_a_run(tmp_path: Path) -> None:
    path = tmp_path / "init.pt"
    arguments = ("init", "--degree", 3, "--roots", "extremal", "--channels", "4,8", "--seed", 12)
    result = run(*arguments, "--out", path)
    document = json.loads(run(*arguments, "--json").stdout)
    for level in document["levels"]:
        for block in level["blocks"]:
            for alpha in block["alphas"]:
                assert f"{alpha:#.4g}" in result.stdout
    assert f"polyroots train --init {path}" in result.stdout
    checkpoint = load_checkpoint(path)
    assert json.loads(json.dumps(checkpoint.init))["levels"] == document["levels"]
    train = run("train", "--init", path, "--epochs", 1, "--limit", 20, "--out", tmp_path / "run")
    assert f"Weights and coefficients from {path}" in train.stdout
    assert load_checkpoint(tmp_path / "run" / "last.pt").config == checkpoint.config


def test_init_for_photos_needs_no_images(tmp_path: Path) -> None:
    document = json.loads(
        run("init", "--dataset", "cifar10", "--model", "q2", "--channels", "4,8,16,16", "--json").stdout
    )
    assert [level["size"] for level in document["levels"]] == [[32, 32], [16, 16], [8, 8], [4, 4]]


@pytest.mark.slow
def test_models_lists_every_name() -> None:
    document = json.loads(run("models", "--json").stdout)
    assert [row["name"] for row in document] == list(NAMES)
    table = run("models").stdout
    assert re.search(r"q2 \* +L,L +64,128,256,256 +1 +1,385,554", table)
    assert re.search(r"resnet18 +- +64,128,256,512 +- +11,173,962", table)
    grey = json.loads(run("models", "--image-size", 28, "--in-channels", 1, "--num-classes", 5, "--json").stdout)
    # 2 * 64 * 9 stem weights and 5 * 257 in the head are gone.
    assert grey[0]["weights"] == 1_385_554 - 2 * 64 * 9 - 5 * 257


@pytest.mark.parametrize(
    "command", [(), ("train",), ("evaluate",), ("spectrum",), ("init",), ("models",), ("figures",), ("report",)]
)
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert re.search(r"Examples?:\n +polyroots ", result.stdout)


def test_help_names_every_model() -> None:
    text = run("train", "--help").stdout
    assert all(name in text for name in NAMES)


def test_missing_and_broken_checkpoints_are_said(tmp_path: Path, init_file: Path) -> None:
    missing = tmp_path / "none.pt"
    for command in ("spectrum", "evaluate"):
        assert fails(command, missing) == f"Error: no file {missing}: expected a checkpoint"
    text = tmp_path / "text.pt"
    text.write_text("no checkpoint")
    assert "is no checkpoint" in fails("spectrum", text)
    assert "is no checkpoint" in fails("train", "--init", text)
    assert "is no checkpoint" in fails("figures", "--checkpoint", text, "--out", tmp_path / "f")
    assert not (tmp_path / "f").exists()
    empty = tmp_path / "linear.pt"
    torch.save(nn.Linear(3, 2).state_dict(), empty)
    assert "holds no convolution" in fails("spectrum", empty)
    oblong = tmp_path / "oblong.pt"
    torch.save(nn.Conv2d(3, 8, 3).state_dict(), oblong)
    message = fails("spectrum", oblong)
    assert f"{oblong} holds nothing to analyse: weight (not square: 8 output channels from 3; it has sing" in message
    assert "has not been trained yet" in fails("evaluate", init_file)


@pytest.mark.slow
def test_nan_names_the_layer(tmp_path: Path, init_file: Path) -> None:
    checkpoint = load_checkpoint(init_file)
    weights = {key: value.clone() for key, value in checkpoint.weights.items()}
    weights["levels.1.A.weight"][0, 0, 0, :2] = torch.nan
    save_checkpoint(tmp_path / "nan.pt", Checkpoint(checkpoint.config, weights))
    reason = "levels.1.A.weight: 2 of 1296 entries are NaN or infinite; use a checkpoint from before"
    printed = run("spectrum", tmp_path / "nan.pt", "--plot", tmp_path / "pictures").stdout
    assert f"  {reason}" in printed
    assert "levels.0.A.weight" in printed
    assert not (tmp_path / "pictures" / "levels.1.A.weight.png").exists()
    message = fails("spectrum", tmp_path / "nan.pt", "--layer", "levels.1.*", "--plot", tmp_path / "none")
    assert "holds nothing to analyse: levels.1.A.weight (2 of 1296 entries are NaN or infinite" in message
    assert not (tmp_path / "none").exists()
    arguments = ("--only", 3, "--checkpoint", tmp_path / "nan.pt", "--level", 2, "--out", tmp_path / "figures")
    message = fails("figures", *arguments)
    assert "A of level 2 of q4: 2 of 1296 entries are NaN" in message


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("init", "--degree", "-1"), 2, "expected a whole number of at least 0, got '-1'"),
        (("train", "--degree", "-3"), 2, "expected a whole number of at least 0, got '-3'"),
        (("init", "--roots", "extremel"), 2, "unknown strategy 'extremel': did you mean 'extremal'? Known: extremal"),
        (("train", "--roots", "foo"), 2, "unknown strategy 'foo': expected extremal"),
        (("init", "--model", "q5"), 2, "unknown model 'q5': expected q2, q4, q4r, q6, q8, mgnet-ab"),
        (("train", "--model", "resnet"), 2, "unknown model 'resnet': did you mean 'resnet"),
        (("train", "--dataset", "digit"), 2, "unknown data set 'digit': did you mean 'digits'"),
        (("init", "--model", "q2", "--degree", "3"), 2, "degree 3 does not fit the blocks L,L: they have 2 roots"),
        (("init", "--model", "resnet18"), 2, "resnet18 has no polynomial"),
        (("train", "--model", "resnet18", "--degree", "3"), 2, "resnet18 has no polynomial, so no degree"),
        (("train", "--dataset", "folder"), 2, "folder needs --data-dir, the directory that holds it"),
        (("train", "--channels", "8,x"), 2, "expected the channels of each level such as"),
        (("train", "--lr", "0"), 2, "expected a number above 0, got '0'"),
        (("spectrum", "x.pt", "--size", "0"), 2, "expected a size in pixels such as 32 or 28x32, got '0'"),
        (("spectrum", "x.pt", "--size", "9999999999999999999999"), 2, "expected a size in pixels"),
        (("spectrum", "x.pt", "--size", "3x4x5"), 2, "expected a size in pixels"),
        (("init", "--seed", "4294967296"), 2, "expected a whole number from 0 to 4294967295, got '4294967296'"),
        (("init", "--model", "Q4R"), 2, "unknown model 'Q4R': did you mean 'q4r'"),
        (("train", "--download"), 2, "cifar10, cifar100, mnist, fashion-mnist can be downloaded, not digits"),
        (("figures", "--only", "3", "--checkpoint", "x.pt", "--seed", "3", "--out", "x"), 2, "leave one of them out"),
        (("figures", "--level", "2", "--out", "x"), 2, "--level is a level of a network; add --checkpoint FILE"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: tuple[str, ...], exit_code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fails(*arguments, exit_code=exit_code)
    assert list(tmp_path.iterdir()) == []


def test_levels_that_do_not_exist_are_said(init_file: Path, tmp_path: Path) -> None:
    for level in (0, 3):
        message = fails("figures", "--checkpoint", init_file, "--level", level, "--out", tmp_path, exit_code=2)
        assert f"expected a level from 1 to 2, got {level}" in message


def test_init_brings_the_network(init_file: Path) -> None:
    message = fails("train", "--init", init_file, "--model", "q2", exit_code=2)
    assert "brings the network and its roots; leave --model out" in message


def test_places_that_cannot_be_written_are_said(tmp_path: Path, init_file: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "below"
    for arguments in (
        ("train", "--channels", 4, "--limit", 20, "--epochs", 1, "--out", place),
        ("init", "--channels", 4, "--out", place),
        ("figures", "--out", place),
        ("spectrum", init_file, "--plot", place),
    ):
        message = fails(*arguments)
        assert message.startswith(f"Error: cannot write {place}: ")
        assert message.endswith("choose a place that can be written")


def test_a_data_directory_without_train_and_test_is_said(tmp_path: Path) -> None:
    message = fails("train", "--dataset", "folder", "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert "has no train/ and no test/: expected a directory with train/<class>/* and test/<class>/*" in message
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second Ctrl-C, which saves nothing more, the message has the command that resumes the run."""
    from polyroots.training.loop.epoch import EpochLoop

    epoch = EpochLoop.run

    def interrupted(self: Any, state: Any) -> Any:
        if state.epoch == 1:
            raise KeyboardInterrupt
        return epoch(self, state)

    monkeypatch.setattr(EpochLoop, "run", interrupted)
    result = run("train", "--channels", 4, "--limit", 20, "--epochs", 3, "--out", tmp_path / "run", exit_code=1)
    assert f"Error: interrupted; go on with: polyroots train --resume {tmp_path / 'run'}\n" in result.stderr
    assert load_checkpoint(tmp_path / "run" / "last.pt").training["epoch"] == 1


def test_paths_with_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "[bold]x[/bold] :smile:.pt"
    assert f"Wrote {path}" in run("init", "--channels", 4, "--out", path).stdout


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_wide_tables_stay_whole_on_a_narrow_terminal() -> None:
    """With --wide on a pseudo-terminal of 40 columns no number is cut and no line is folded."""
    arguments = ["init", "--channels", "4,8", "--seed", "9", "--wide"]
    printed = on_a_terminal(40, arguments)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)
    assert "\x1b[1m" in printed  # colour and weight on a terminal
    assert "…" not in plain
    assert run(*arguments).stdout.strip() in plain


def test_files_and_directories_are_not_confused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "directory").mkdir()
    assert "is a directory, expected a file" in fails("init", "--channels", 4, "--out", tmp_path / "directory")
    for command in ("figures", "train"):
        assert "is a file, expected a directory" in fails(command, "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2, 2, 3, 3)}, tmp_path / "w.pt")
    assert "not enough memory: " in fails("spectrum", tmp_path / "w.pt", "--size", 1_000_000)


def test_long_block_sequences_keep_messages_and_names_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = fails("init", "--degree", 400, "--channels", "1")
    assert "degree 400 has 401 roots, but the spectrum has 64 distinct non-zero eigenvalues only" in message
    message = fails("init", "--model", ",".join("C" * 200), "--channels", "1")
    assert "blocks C,C,C,C,C,C,C,C,... (200 blocks) need 200 distinct conjugate pairs" in message
    run("train", "--degree", 20, "--channels", "4", "--limit", 20, "--epochs", 1)
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name.endswith("-digits-11-blocks")


def test_a_network_that_diverged_is_not_evaluated(trained: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = trained
    checkpoint = load_checkpoint(out / "last.pt")
    weights = {key: value.float() * torch.nan for key, value in checkpoint.weights.items()}
    save_checkpoint(tmp_path / "nan.pt", Checkpoint(checkpoint.config, weights, None, checkpoint.training))
    assert "the loss of this network is nan: its training has diverged" in fails(
        "evaluate", tmp_path / "nan.pt", "--json"
    )
