"""A run in a SLURM job, by the environment of its tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_runs import small

import polyroots as pr
from polyroots.training import open_data, train
from polyroots.training.loop.device import make_fabric


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the environment of a job's batch step."""

    def enter(**variables: int) -> None:
        fixed = {"JOB_ID": 4711, "JOB_NAME": "train", "PROCID": 0, "LOCALID": 0, "NODEID": 0, "NODELIST": "n1"}
        for name, value in {**fixed, **variables}.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))

    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return enter


def test_one_process_trains_in_a_job_of_several_tasks(job: Any, tmp_path: Path) -> None:
    job(NTASKS=4, NNODES=1)
    source = open_data("digits")
    assert train(small(source, "q2", (2, 4), limit=20, epochs=1), source, tmp_path / "run").run.result.exists()
    assert pr.training.one_device("cpu").world_size == 1


@pytest.mark.parametrize(
    ("variables", "got"),
    [
        ({"NTASKS": 4, "NNODES": 1}, "SLURM_NNODES=1, SLURM_NTASKS=4"),
        ({"NTASKS": 4, "NNODES": 1, "NTASKS_PER_NODE": 4}, "SLURM_NNODES=1, SLURM_NTASKS_PER_NODE=4, SLURM_NTASKS=4"),
        ({"NTASKS": 4, "NNODES": 2, "NTASKS_PER_NODE": 2}, "SLURM_NNODES=2, SLURM_NTASKS_PER_NODE=2, SLURM_NTASKS=4"),
    ],
)
def test_other_tasks_than_the_processes_are_said(job: Any, variables: dict[str, int], got: str) -> None:
    job(**variables)
    with pytest.raises(
        pr.InputError, match=r"expected a SLURM job of --nodes=1 --ntasks-per-node=2 for devices"
    ) as raised:
        make_fabric(small(open_data("digits"), devices=2))
    assert f"got {got}; submit such a job and start the command by srun" in str(raised.value)
    assert raised.value.fields == ("devices", "num_nodes")
