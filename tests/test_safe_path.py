"""Processes that polyroots starts import nothing from the current directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import run
from safetensors.torch import save_file
from small_studies import FOUR, four

from polyroots.checkpoints import load_checkpoint
from polyroots.study import LocalRunner, StudyDirectory, cluster
from polyroots.training.runs.directory import Run
from polyroots.training.runs.tracking import Tracker, snapshots_of

# Modules of the standard library and of packages that a run imports.
NAMES = (
    "fractions",
    "html",
    "random",
    "csv",
    "statistics",
    "calendar",
    "tomllib",
    "scipy",
    "pydantic",
    "rich",
    "torch",
)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a directory with files named as modules, each of which says so when it is imported."""
    directory = tmp_path / "trap"
    directory.mkdir()
    for name in NAMES:
        code = f"from pathlib import Path\nPath({str(directory)!r}, 'imported-{name}').touch()\nraise SystemExit(9)\n"
        (directory / f"{name}.py").write_text(code)
    for variable in ("PYTHONSAFEPATH", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    # This process has no current directory on its path either.
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.chdir(directory)
    return directory


def imported(trap: Path) -> list[str]:
    return sorted(path.name for path in trap.glob("imported-*"))


def test_a_file_of_the_current_directory_would_be_imported(trap: Path) -> None:
    """The trap works."""
    assert subprocess.run([sys.executable, "-c", "import fractions"], check=False).returncode == 9
    assert imported(trap) == ["imported-fractions"]


@pytest.mark.slow
def test_a_run_imports_nothing_from_the_current_directory(trap: Path, tmp_path: Path) -> None:
    """The command is started as torchrun does, by ``python -m``."""
    words = ["train", "--channels", "2,4", "--device", "cpu", "--epochs", "1", "--limit", "20"]
    result = subprocess.run(
        [sys.executable, "-m", "polyroots", *words, "--out", tmp_path / "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert imported(trap) == []


@pytest.mark.slow
def test_a_tracker_imports_nothing_from_the_current_directory(trap: Path, tmp_path: Path, init_file: Path) -> None:
    tracker = Tracker(Run(tmp_path))
    tracker.add(3, load_checkpoint(init_file))
    tracker.wait()
    assert tracker.problems == []
    assert [snapshot.epoch for snapshot in snapshots_of(tracker.run)] == [3]
    assert imported(trap) == []


@pytest.mark.slow
def test_a_worker_of_a_study_imports_nothing_from_the_current_directory(trap: Path, tmp_path: Path) -> None:
    file = four(tmp_path, text=FOUR.replace("[11, 23]", "[11]").replace(', "mgnet-ab"', ""))
    assert "1 done" in run("study", "run", file, "--out", tmp_path / "out", "--device", "cpu").stdout
    assert imported(trap) == []


@pytest.mark.slow
def test_a_network_of_the_current_directory_is_found_after_all_other_modules(trap: Path) -> None:
    """The command imports parts of itself and of matplotlib after the network."""
    (trap / "layers.py").write_text("from torch.nn import Conv2d\n")
    (trap / "net.py").write_text(
        "def build():\n    from layers import Conv2d  # when it is called\n\n    return Conv2d(4, 4, 3, padding=1)\n"
    )
    for name in ("plistlib", "graphlib", "gzip"):
        (trap / f"{name}.py").write_text((trap / "html.py").read_text())
    save_file({"weight": torch.eye(4)[:, :, None, None].expand(4, 4, 3, 3).contiguous()}, trap / "w.safetensors")
    words = ["-P", "-m", "polyroots", "spectrum", "w.safetensors", "--arch", "net:build", "--image-size", "8"]
    result = subprocess.run(
        [sys.executable, *words, "--plot", "picture.png", "--csv", "table.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "--arch net:build runs the code of net.\n")
    assert imported(trap) == []


def test_what_a_worker_starts_has_the_safe_path_too(tmp_path: Path) -> None:
    """A run on several devices starts the processes of the others."""
    runner = LocalRunner(StudyDirectory(tmp_path), ["one"])
    assert runner._environment(0)["PYTHONSAFEPATH"] == "1"


def test_jobs_of_slurm_have_the_safe_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the job's script that starts Python; sbatch itself is replaced."""
    scripts = []

    def submitted(self: object, command: list[str]) -> str:
        scripts.append(Path(command[-1]).read_text())
        return "Submitted batch job 7\n"

    from submitit.slurm.slurm import SlurmExecutor

    monkeypatch.setattr("submitit.core.utils.CommandFunction.__call__", lambda self: submitted(self, self.command))
    monkeypatch.setattr(SlurmExecutor, "affinity", lambda self: 2)
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr(cluster, "queued", dict)
    cluster.SlurmRunner(StudyDirectory(tmp_path), ["one"], cluster.Resources(gpus=0))
    (line,) = [line for line in scripts[0].splitlines() if "submitit.core._submit" in line]
    assert f"{sys.executable} -P -u -m submitit.core._submit" in line
