"""Run directories whose files are damaged: `report` and `load_run` say so in a sentence."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import fails

from polyroots.errors import PolyrootsError
from polyroots.report import write_report
from polyroots.training import load_run

pytestmark = pytest.mark.usefixtures("types_unchecked")

JUNK: list[Any] = [None, 0, -1, 1e308, "x", "", [], {}, [None], {"a": 1}, True, float("nan"), 10**30, 1.5, [[1, 2]]]
BYTES = [b'"', b"\x00", b"1e999", b"nan", b"inf", b"\xe9", b"[" * 5000, b"\n", b",", b"}{"]


def mutated(document: Any, rng: random.Random) -> Any:
    """Change, remove or repeat one entry of a JSON document, at any depth."""
    node = document
    while isinstance(node, dict | list) and node:
        key: Any = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.75:
            node = node[key]
            continue
        kind = rng.random()
        if kind < 0.2:
            del node[key]
        elif kind < 0.3 and isinstance(node, list):
            node.append(node[key])
        else:
            node[key] = rng.choice(JUNK)
        break
    return document


def damage(path: Path, rng: random.Random) -> None:
    """Change a file: an entry of its document, or some of its bytes."""
    if path.suffix == ".json" and rng.random() < 0.8:
        path.write_text(json.dumps(mutated(json.loads(path.read_text()), rng)))
        return
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 3, 20])):
        index = rng.randrange(len(content))
        content[index : index + rng.choice([0, 1, 9])] = rng.choice(BYTES)
    path.write_bytes(content)


def outcomes(whole: Path, directory: Path, count: int, seed: int, names: list[str]) -> Counter[str]:
    """Return how many reports of damaged runs were written and how many refused in a sentence."""
    rng, found = random.Random(seed), Counter[str]()
    for _ in range(count):
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(whole, directory)
        damage(directory / rng.choice(names), rng)
        said = ""
        try:
            write_report(directory)
        except PolyrootsError as error:
            said = str(error)
        assert "\n" not in said
        assert len(said) < 700
        found["refused" if said else "written"] += 1
    return found


@pytest.mark.slow
def test_reports_of_damaged_runs_are_written_or_refused(
    tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other error leaves `write_report`; an undamaged entry is one that no report shows."""
    monkeypatch.setattr("polyroots.report.html.get_plotlyjs", lambda: "")
    monkeypatch.setattr("polyroots.report.html._picture", lambda *_: "")
    names = ["init.json", "result.json", "metrics.csv", "config.json"]
    found = outcomes(tracked, tmp_path / "run", 20, 5, names)
    assert sum(found.values()) == 20
    assert found["refused"] > 8


@pytest.fixture
def copy(tracked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tracked, tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("result.json", "[]", "result.json is damaged: "),
        ("result.json", "null", "result.json is damaged: "),
        ("result.json", '{"data": "digits"}', "result.json is damaged: epochs: field required"),
        ("init.json", "{", "init.json is damaged: expected init.json of a run as JSON"),
        ("init.json", "[" * 100_000, "init.json is damaged: expected init.json of a run as JSON"),
        ("init.json", '{"levels": 3}', "init.json is damaged: strategy: field required"),
        ("metrics.csv", "epoch\n1\n", "metrics.csv is damaged: expected the columns epoch, lr"),
        ("metrics.csv", "epoch,lr\n1,\x00\n", "metrics.csv is damaged: expected the columns epoch, lr"),
        ("config.json", '{"config": {}, "environment": 3}', "config.json holds no configuration of a run"),
    ],
)
def test_a_damaged_file_is_named(copy: Path, name: str, text: str, said: str) -> None:
    (copy / name).write_text(text)
    line = fails("report", copy)
    assert said in line
    assert len(line) < 500
    if name != "config.json":
        assert line.endswith("remove it, and 'polyroots train --resume' writes it again")


def test_epochs_of_metrics_are_counted(copy: Path) -> None:
    """A line that is lost in the middle would shift the curves."""
    with (copy / "metrics.csv").open() as stream:
        rows = list(csv.reader(stream))
    with (copy / "metrics.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows[:2] + rows[3:])
    assert "and the epochs 1, 2, ..." in fails("report", copy)


def test_a_report_on_another_network_is_refused(copy: Path) -> None:
    document = json.loads((copy / "init.json").read_text())
    document["levels"][0]["blocks"].pop()
    (copy / "init.json").write_text(json.dumps(document))
    assert f"{copy / 'init.json'} is of another network than {copy / 'last.pt'}" in fails("report", copy)


def test_a_damaged_file_does_not_hide_the_others(copy: Path) -> None:
    (copy / "result.json").write_text("{}")
    assert load_run(copy).metrics["epoch"].tolist() == [1, 2, 3, 4, 5]
