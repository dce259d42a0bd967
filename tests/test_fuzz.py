"""Random damage to checkpoints, run directories, studies and command lines; `python -m tests.fuzz` has more of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fuzz import audit, fuzz

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no alarms on Windows"),
    pytest.mark.usefixtures("types_unchecked"),
]


@pytest.mark.parametrize("seed", range(4))
def test_damage_ends_in_a_result_or_a_sentence(tmp_path: Path, seed: int) -> None:
    sys.addaudithook(audit)
    outcomes, problems = fuzz(500, seed, tmp_path)
    assert problems == []
    assert sum(outcomes.values()) == 500
    assert all(
        any(name.startswith(kind) for name in outcomes) for kind in ("checkpoint", "run_dir", "study", "options")
    )
