"""Layers divided among SLURM's jobs, with a queue of the tests' own: each call is pickled and runs when submitted."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import fails, run
from safetensors.torch import save_file

from polyroots.analysis import Analysis, estimate
from polyroots.checkpoints import Geometry
from polyroots.errors import FileError, PolyrootsError
from polyroots.files import held
from polyroots.study import Resources, cluster, results_on_slurm
from polyroots_cli.spectrum.findings import Given, read_layers_of
from polyroots_cli.spectrum.shards import divided

TEN = {f"conv{i}.weight": torch.ones(c, c, 3, 3) for i, c in enumerate([2, 41, 3, 61, 7, 53, 31, 17, 47, 23])}


class Queue:
    """A queue whose jobs end at once, as `outcome` turns their calls into what submitit writes."""

    def __init__(self) -> None:
        self.submitted: list[int] = []
        self.resources: list[Resources] = []
        self.states: dict[str, str] = {}
        self.outcome: Callable[[Callable[[], Any]], Any] = lambda call: ("success", call())

    def submit(self, folder: Path, calls: Sequence[Callable[[], Any]], resources: Resources) -> list[str]:
        self.submitted.append(len(calls))
        self.resources.append(resources)
        names = [f"{len(self.submitted)}_{i}" for i in range(len(calls))]
        for name, call in zip(names, calls, strict=True):
            outcome = self.outcome(pickle.loads(pickle.dumps(call)))
            if outcome is not None:
                (folder / f"{name}_0_result.pkl").write_bytes(pickle.dumps(outcome))
        return names


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    found = Queue()
    monkeypatch.setattr(cluster, "submit", found.submit)
    monkeypatch.setattr(cluster, "queued", lambda: found.states)
    monkeypatch.setattr(cluster, "require_slurm", lambda instead: None)
    monkeypatch.setattr(cluster.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    return found


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(7)
    path = tmp_path / "net.pt"
    torch.save({f"{name}.weight": torch.randn(3, 3, 3, 3) for name in ("a", "b", "c")}, path)
    return path


def test_jobs_find_what_the_command_finds(checkpoint: Path, tmp_path: Path, queue: Queue) -> None:
    words = ("spectrum", checkpoint, "--size", 6, "--json", "--verify", "--sample", 5)
    jobs = ("--cluster", "slurm", "--jobs-dir", tmp_path / "jobs", "--jobs", 2, "--time", 30)
    found = json.loads(run(*words, *jobs, "--cpus-per-job", 3, "--sbatch", "account=mine").stdout)
    expected = json.loads(run(*words).stdout)
    assert found == expected
    assert [layer["name"] for layer in found["layers"]] == ["a.weight", "b.weight", "c.weight"]
    assert queue.submitted == [2]
    assert queue.resources == [Resources(gpus=0, cpus=3, minutes=30, sbatch={"account": "mine"})]
    # The same command takes the results that are there; a checkpoint that has changed is another one.
    assert json.loads(run(*words, *jobs).stdout) == found
    assert queue.submitted == [2]
    torch.save({"a.weight": torch.ones(2, 2, 3, 3)}, checkpoint)
    (layer,) = json.loads(run(*words, *jobs).stdout)["layers"]
    assert layer["radius"] == pytest.approx(18)
    assert queue.submitted == [2, 1]


def test_files_have_what_jobs_found(checkpoint: Path, tmp_path: Path, queue: Queue) -> None:
    """Pictures and files need the layer, whose weight isn't pickled with a result."""
    words = ("spectrum", checkpoint, "--size", 4, "--layer", "[ab].weight")
    files = [tmp_path / name for name in ("here.csv", "jobs.csv")]
    run(*words, "--csv", files[0])
    run(*words, "--csv", files[1], "--cluster", "slurm", "--jobs-dir", tmp_path / "jobs")
    assert files[0].read_text() == files[1].read_text()
    assert queue.submitted == [2]


def test_jobs_read_without_limits_if_the_command_does(tmp_path: Path, queue: Queue) -> None:
    name = f"{'a' * 2100}.weight"
    torch.save({name: torch.ones(2, 2, 3, 3)}, tmp_path / "net.pt")
    # A job has no context of the command.
    queue.outcome = lambda call: ("success", Context().run(call))
    words = ("spectrum", tmp_path / "net.pt", "--size", 4, "--json", "--cluster", "slurm")
    (layer,) = json.loads(run("--no-limits", *words, "--jobs-dir", tmp_path / "jobs").stdout)["layers"]
    assert (layer["name"], layer["radius"]) == (name, pytest.approx(18))


def test_shards_of_a_file_that_change_make_other_jobs_and_are_not_overwritten(tmp_path: Path, queue: Queue) -> None:
    shard, index = tmp_path / "one.safetensors", tmp_path / "model.safetensors.index.json"
    save_file({"a.weight": torch.ones(2, 2, 3, 3)}, shard)
    index.write_text(json.dumps({"weight_map": {"a.weight": shard.name}}))
    words = ("spectrum", index, "--size", 4, "--json", "--cluster", "slurm", "--jobs-dir", tmp_path / "jobs")
    radii = [json.loads(run(*words).stdout)["layers"][0]["radius"] for _ in range(2)]
    save_file({"a.weight": 2 * torch.ones(2, 2, 3, 3)}, shard)
    radii.append(json.loads(run(*words).stdout)["layers"][0]["radius"])
    assert radii == pytest.approx([18, 18, 36])
    assert queue.submitted == [1, 1]
    assert "is the checkpoint itself" in fails("spectrum", index, "--csv", shard, exit_code=2)


def test_a_network_of_the_user_that_changes_makes_other_jobs(
    tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path("net_of_shards.py")
    source.write_text("import torch\n\ndef build():\n    return torch.nn.Conv2d(2, 2, 3, padding=1)\n")
    torch.save({"weight": torch.ones(2, 2, 3, 3)}, "net.pt")
    words = ("spectrum", "net.pt", "--arch", "net_of_shards:build", "--image-size", 4)
    jobs = ("--cluster", "slurm", "--jobs-dir", "jobs")
    run(*words, *jobs)
    run(*words, *jobs)
    source.write_text(source.read_text() + "# changed\n")
    run(*words, *jobs)
    assert queue.submitted == [1, 1]


def test_jobs_that_fail_are_said_and_submitted_again(checkpoint: Path, tmp_path: Path, queue: Queue) -> None:
    jobs = ("spectrum", checkpoint, "--size", 4, "--cluster", "slurm", "--jobs-dir", tmp_path / "jobs")
    queue.outcome = lambda call: ("error", "Traceback\n  ...\nMemoryError: no memory")
    line = fails(*jobs)
    assert "the job 1_0 failed: MemoryError: no memory; the others go on" in line
    assert line.endswith("the same command submits it again")
    queue.outcome = lambda call: None
    line = fails(*jobs)
    assert "the job 2_0 failed: left the queue without a result" in line
    # Jobs in the queue are waited for, and not submitted again.
    queue.states = {f"2_{i}": "RUNNING" for i in range(3)}
    (tmp_path / "jobs" / "2_0_0_log.err").write_text("slurmstepd: error: exceeded memory limit\n")
    states = iter([dict(queue.states), {}])
    queue.states = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "queued", lambda: next(states, {}))
        assert "its log ends with: slurmstepd: error: exceeded memory limit" in fails(*jobs)
    assert queue.submitted == [3, 3]


def test_one_command_at_a_time_submits_jobs(tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one submits, another one would write a table without its jobs."""

    def submit(*arguments: Any) -> list[str]:
        with pytest.raises(FileError, match="busy"), held(tmp_path, 0.0, "busy"):
            pass
        return queue.submit(*arguments)

    monkeypatch.setattr(cluster, "submit", submit)
    assert list(results_on_slurm(tmp_path, {"key": int}, Resources(gpus=0), "stay here")) == [("key", 0)]
    with held(tmp_path, 0.0, "busy"):
        pass


def test_a_damaged_table_is_said(tmp_path: Path, queue: Queue) -> None:
    (tmp_path / "calls.json").write_text('{"key": 3}')
    with pytest.raises(PolyrootsError, match=r"calls\.json is damaged; remove it"):
        next(results_on_slurm(tmp_path, {"key": int}, Resources(gpus=0), "stay here"))


def test_options_of_jobs_of_layers(checkpoint: Path, tmp_path: Path) -> None:
    line = fails("spectrum", checkpoint, "--cluster", "slurm", exit_code=2)
    assert line == "Error: --cluster slurm needs --jobs-dir DIR, a directory that all nodes share"
    line = fails("spectrum", checkpoint, "--jobs", 3, exit_code=2)
    assert line == "Error: --jobs is for --cluster slurm; leave it out"
    words = ("--cluster", "slurm", "--jobs-dir", tmp_path, "--time", "soon")
    assert "expected a time such as 90" in fails("spectrum", checkpoint, *words, exit_code=2)


def test_jobs_have_about_the_same_work(tmp_path: Path) -> None:
    path = tmp_path / "ten.pt"
    torch.save(TEN, path)
    item = read_layers_of(path, Given((8, 8), Geometry(), None), (), Analysis())
    shares = [names for _, names in divided([item], Analysis(), 3)]
    assert sorted(name for names in shares for name in names) == sorted(TEN)
    cubes = {name: weight.shape[0] ** 3 for name, weight in TEN.items()}
    loads = [sum(cubes[name] for name in names) for names in shares]
    # Longest first is within 4/3 of the best division (Graham 1969), which is at least the mean and the longest.
    assert max(loads) <= 4 / 3 * max(sum(cubes.values()) / 3, max(cubes.values()))
    assert len(divided([item], Analysis(), None)) == len(estimate(item.layers, Analysis())) == 10
