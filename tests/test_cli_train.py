"""``polyroots train``: options, output and messages."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import fails, run
from forked import command as start_command, on_a_terminal, status_of
from small_runs import wait_for_lines

from polyroots.checkpoints.own import load_checkpoint
from polyroots.training import SOURCES, load_run
from polyroots_cli import bar
from polyroots_cli.options import is_first_process
from polyroots_cli.train import train as command

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("train", "--channels", "4,8", "--limit", 60, "--device", "cpu")


def test_every_option_is_under_a_heading_and_in_the_docs() -> None:
    printed = run("train", "--help-all").stdout
    headings = re.findall(r"^(\w+):$", printed, flags=re.M)
    assert headings == ["Data", "Network", "Coefficients", "Training", "Machine", "Run", "Options"]
    docs = "".join((ROOT / "docs" / page).read_text() for page in ("training.md", "networks.md"))
    for parameter in command.params:
        assert parameter.opts[0] in printed
        assert re.search(rf"`[^`\n]*{re.escape(parameter.opts[0])}\b", docs), parameter.opts[0]
    for name in SOURCES:
        assert f"`{name}`" in docs
        assert name in printed


def test_options_reach_the_configuration(tmp_path: Path) -> None:
    run(
        *SMALL,
        *("--recipe", "paper", "--epochs", 2, "--batch-size", 20, "--warmup", 0.5, "--nesterov", "--clip", 2),
        *("--label-smoothing", 0.1, "--momentum", 0.8, "--weight-decay", 0.01, "--augment", "flip,crop", "--lr", 0.05),
        *("--val-fraction", 0.25, "--precision", "bf16", "--loading", "workers", "--workers", 1, "--seed", 3),
        *("--bn-recalibrate", 1, "--out", tmp_path / "run"),
    )
    config = load_run(tmp_path / "run").config
    chosen = config.model_dump(exclude={"model", "data_dir"})
    assert chosen == {
        "dataset": "digits",
        "limit": 60,
        "val_fraction": 0.25,
        "roots": "extremal",
        "alpha_init": "spectrum",
        "relax": "none",
        "signs": "paper",
        "epochs": 2,
        "batch_size": 20,
        "lr": 0.05,
        "schedule": "epoch",
        "warmup": 0.5,
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.01,
        "decay_alphas": True,
        "label_smoothing": 0.1,
        "clip_norm": 2.0,
        "bn_recalibrate": 1,
        "augment": "crop,flip",
        "fill": 128,
        "normalisation": "exact",
        "seed": 3,
        "device": "cpu",
        "devices": 1,
        "num_nodes": 1,
        "sync_batch_norm": False,
        "precision": "bf16",
        "compile": False,
        "loading": "workers",
        "workers": 1,
        "track_spectrum": None,
        "tensorboard": False,
    }


def test_validation_is_printed(tmp_path: Path) -> None:
    printed = run(*SMALL, "--epochs", 2, "--val-fraction", 0.2, "--out", tmp_path / "run").stdout
    first, last = (line for line in printed.splitlines() if line.startswith("epoch "))
    assert re.fullmatch(r"epoch 1/2  train loss \S+, +\S+%  validation loss \S+, +\S+%  +[\d,]+ images/s", first)
    assert re.search(r"validation loss \S+, +\S+%  test loss \S+, +\S+%  +[\d,]+ images/s", last)
    assert "chosen on the validation images" in printed


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """After SIGTERM --resume continues the run, and a second --resume prints the result again."""
    out = tmp_path / "a run"
    files = tmp_path / "out.txt", tmp_path / "error.txt"
    process = start_command([*SMALL, "--epochs", 30, "--out", out], *files)
    wait_for_lines(out / "metrics.csv", 3)
    process.terminate()
    assert status_of(process) == 1
    said = files[1].read_text()
    kept = rf"{re.escape(str(out))}/last\.pt holds epoch \d+( and \d+ steps? of the next one)?"
    command = re.escape(f"polyroots train --resume '{out}'")
    assert re.fullmatch(rf"Error: interrupted in epoch \d+; {kept}; go on with: {command}\n", said), said
    printed = run("train", "--resume", out).stdout
    assert re.search(rf"{re.escape(str(out))} goes on after \d+ of 30 epochs", printed)
    assert "epoch 30/30" in printed
    assert "level   block" not in printed
    again = run("train", "--resume", out).stdout
    assert "epoch 30/30" not in again
    assert f"{out} is done: 30 epochs" in again
    assert f"polyroots evaluate '{out}/last.pt' --limit 60" in again
    assert re.search(r"Test accuracy on digits \(60 images at most\): last epoch .*", again)[0] in printed
    resumed = json.loads((out / "config.json").read_text())["resumed"]
    assert [entry["changes"] for entry in resumed] == [{}, {}]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (("--lr", 0.1), "--lr"),
        (("--epochs", 3), "--epochs"),
        (("--model", "q2"), "--model"),
        (("--recipe", "quick"), "--recipe"),
        (("--out", "x"), "--out"),
        (("--seed", 7), "--seed"),
        (("--track-spectrum", 2), "--track-spectrum"),
    ],
)
def test_what_decides_a_run_is_not_changed(
    trained: tuple[Path, str], options: tuple[str, float | str], option: str
) -> None:
    message = fails("train", "--resume", trained[0], *options, exit_code=2)
    assert message == f"Error: --resume goes on with {trained[0]} as it began; leave {option} out"


def test_where_a_run_goes_on_may_change(trained: tuple[Path, str]) -> None:
    run("train", "--resume", trained[0], "--device", "cpu", "--loading", "workers", "--workers", 1, "--wide")
    before = load_checkpoint(trained[0] / "last.pt").training["epoch"]
    assert before == 2


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (("--resume", "none"), 1, "no directory none: expected a run of 'polyroots train'"),
        (("--recipe", "slow"), 2, "'slow' is not one of 'paper', 'quick'"),
        (
            ("--augment", "crop-flip"),
            2,
            "unknown augmentation 'crop-flip': did you mean 'flip'? Known: crop",
        ),
        (("--val-fraction", 0.7), 2, "expected a number from 0 to 0.5, got '0.7'"),
        (("--devices", 3), 2, "64 images a step can't be divided evenly among 3 processes"),
        (("--warmup", 20), 2, "a warm-up of 20 of 20 epochs leaves none to train in"),
        (("--model", "resnet20", "--track-spectrum", 1), 2, "resnet20 has no convolution A"),
        (("--dataset", "mnist"), 2, "data set mnist needs --data-dir, the directory that holds it"),
        (("--sync-bn", "--device", "cpu"), 1, "--sync-bn needs CUDA devices, this is cpu; leave --sync-bn out"),
    ],
)
def test_mistakes_are_one_sentence(
    options: tuple[float | str, ...], exit_code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fails("train", *options, exit_code=exit_code)
    assert list(tmp_path.iterdir()) == []


def test_the_time_left_is_that_at_the_mean_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six of ten epochs are left after one took ten seconds; before that there is the time that has passed."""
    now = 100.0
    monkeypatch.setattr(bar, "time", SimpleNamespace(monotonic=lambda: now))
    shown = bar.TrainingBar()
    (task,) = shown._progress.tasks

    def written() -> str:
        return bar._Times().render(task).plain

    assert re.fullmatch(r"\d+ s", written())
    shown.show("reading images", 100, 1000, "100 of 1,000")
    assert (task.description, task.percentage, written()[-2:]) == ("reading images", 10, " s")
    shown.show_training("epoch 4/10", 3, 10, "")  # resumed after three
    assert written()[-2:] == " s"
    now += 10
    shown.show_training("epoch 5/10", 4, 10, "loss 1")
    assert written() == "0:01:00 left"
    now += 7
    assert written() == "0:00:53 left"
    now += 3
    shown.show_training("epoch 5/10", 4.25, 10, "loss 1")  # slower than before: 16 s an epoch
    assert written() == "0:01:32 left"
    now += 1000
    assert written() == "0:00:00 left"


@pytest.mark.parametrize(("rank", "is_first"), [(None, True), ("0", True), ("1", False)])
def test_only_the_first_process_shows_a_bar(rank: str | None, is_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before Fabric is imported, from the variables that its launcher, torchrun and SLURM set."""
    monkeypatch.delitem(sys.modules, "lightning_fabric.utilities.rank_zero", raising=False)
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert is_first_process() == is_first


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_a_bar_shows_how_far_it_is(tmp_path: Path) -> None:
    """The bar on a terminal has epoch, loss, accuracy, images per second and the time left."""
    shown = on_a_terminal(120, [*SMALL, "--epochs", 8, "--out", tmp_path / "run"])
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(
        r"epoch \d/8 \S+ +loss \d\.\d{4}  accuracy \d+\.\d\d%  [\d,]+ images/s +\d:\d\d:\d\d left", plain
    ), plain
