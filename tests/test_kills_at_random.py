"""A few of the kills and rivals of ``python -m tests.kills`` and ``python -m tests.rivals``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kills import KINDS, break_each_call
from rivals import read_while_written, resume_at_once, study_at_once

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("forked")]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_work_ends_in_the_same_state(tmp_path: Path, kind: str) -> None:
    kills = KINDS[kind](tmp_path, 2, 7)
    assert kills.count == 2
    assert kills.rounds >= 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_a_checkpoint_is_whole_after_a_fault_at_each_system_call(tmp_path: Path) -> None:
    """By SIGKILL here; the script also takes a full disk and an error of the disk."""
    fault, calls = next(break_each_call(tmp_path))
    assert fault == "signal=KILL"
    assert calls >= 12


def test_one_of_two_resumptions_trains(tmp_path: Path) -> None:
    """`resume_at_once` asserts that one is done, that the other is refused by its message, and the bits of the run."""
    resume_at_once(tmp_path, 1)


def test_one_of_two_studies_runs(tmp_path: Path) -> None:
    """`study_at_once` asserts the same of two studies."""
    study_at_once(tmp_path, 1)


def test_readers_beside_a_writer_find_whole_files(tmp_path: Path) -> None:
    assert read_while_written(tmp_path, 300) > 1
