"""The manual: its blocks run in the order of each page, and it names what there is."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from forked import snapshots_without_processes
from pages import PAGES, REASONS, ROOT, blocks_of, run_page
from small_studies import train_here

import polyroots as pr
from polyroots.models import NAMES, PLACEMENTS
from polyroots.roots.strategies import STRATEGIES


@pytest.mark.slow
@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
@pytest.mark.usefixtures("rough_pictures", "coarse_surfaces")
def test_a_pages_blocks_run_in_their_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python as a user runs it, commands with small networks and few images; studies train in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("polyroots_figures.operators.CHANNELS", 6)
    monkeypatch.setattr("polyroots_figures.operators.SIZE", (8, 8))
    monkeypatch.setattr(import_module("polyroots_figures.make"), "FORMATS", ("png",))
    train_here(monkeypatch)
    with snapshots_without_processes():
        run_page(page, tmp_path)


def test_what_is_not_run_has_a_reason() -> None:
    for page in PAGES:
        blocks = blocks_of(page)
        assert {block.reason for block in blocks} <= {None, *REASONS}, page
        text = page.read_text()
        # All blocks are read: none is indented, and none has another name for its language.
        assert len(re.findall(r"```(?:python|sh|toml)\b", text)) == len(blocks), page
        assert not re.search(r"^ {4}(polyroots|pip|torchrun|srun) ", text, flags=re.M), page
        assert set(re.findall(r"^```(\w+)", text, flags=re.M)) <= {"python", "sh", "text", "toml", "bibtex"}, page
        assert text.count("<!-- not run") == len([block for block in blocks if block.reason]), page


def test_the_docs_name_every_strategy() -> None:
    text = (ROOT / "docs" / "choosing-roots.md").read_text()
    assert all(f"`{name}`" in text for name in STRATEGIES)


def test_the_docs_name_every_network_and_placement() -> None:
    page = (ROOT / "docs" / "networks.md").read_text()
    assert all(f"`{name}`" in page for name in NAMES)
    assert all(
        re.search(rf"^\| `{name}`.*\| `{re.escape(str(p))}` \|", page, flags=re.M) for name, p in PLACEMENTS.items()
    )


def test_the_readme_is_short_and_the_gate_runs_its_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.count("\n") <= 100
    assert '<!-- tests -->\n```sh\npip install -e ".[dev]" && pytest -n auto --dist loadgroup\n```' in readme


def test_names_of_the_library_are_there() -> None:
    """Each `pr.name` in the text of a page is a public name."""
    for page in PAGES:
        for names in re.findall(r"`pr\.([\w.]+)", page.read_text()):
            found: Any = pr
            for name in names.split("."):
                found = getattr(found, name)
            assert found is not None, names
