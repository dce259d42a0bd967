"""The measurements for a GPU: every part runs on the CPU, and a part that fails or takes too long loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from on_gpu import Part, execute, main

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "on_gpu.py"


@pytest.mark.slow
def test_every_part_runs_on_the_cpu(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--device", "cpu", "--quick", "--out", str(tmp_path), "--minutes", "9"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = (tmp_path / "summary.md").read_text().splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in summary[4:]]
    assert names == ["throughput-q2", "seeds", "eigenvalues", "train-q2"]
    assert all("| done, " in line for line in summary[4:])
    assert "| q2 | ours, float32 | " in (tmp_path / "throughput-q2.txt").read_text()
    assert len((tmp_path / "train-q2-metrics.csv").read_text().splitlines()) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["on_gpu.py", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no CUDA device here: run this on a machine with a GPU"):
        main()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_how_parts_end(tmp_path: Path) -> None:
    """A part that is ended by its limit keeps what it has printed and written."""

    def part(code: str, run: Path | None = None) -> Part:
        return Part("part", "", [sys.executable, "-c", code], 100, run)

    assert execute(part("print('fast')"), 100, tmp_path) == "done"
    assert (tmp_path / "part.txt").read_text().endswith("\n\nfast\n")
    assert execute(part("raise SystemExit(3)"), 100, tmp_path) == "failed with status 3"
    run = tmp_path / "run"
    run.mkdir()
    slow = "import time; from pathlib import Path; print('begun', flush=True); "
    slow += f"Path({str(run)!r}, 'metrics.csv').write_text('epoch'); time.sleep(60)"
    assert execute(part(slow, run), 3, tmp_path) == "ended by its limit of 3 s"
    assert "begun" in (tmp_path / "part.txt").read_text()
    assert (tmp_path / "part-metrics.csv").read_text() == "epoch"
