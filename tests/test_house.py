"""The installed package: what it contains, how it starts, what it imports."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import polyroots as pr
from polyroots.models import NAMES, PLACEMENTS
from polyroots.strategies import STRATEGIES

ROOT = Path(__file__).resolve().parent.parent


def python(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def imported_modules(code):
    result = python("-c", f"{code}\nimport sys; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_setup_lists_every_package():
    """A plain install takes what setup.cfg lists; an editable one would hide a package that is missing there."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for folder in ("polyroots", "cli", "figures")
        for path in (ROOT / folder).rglob("__init__.py")
    }
    renamed = {re.sub(r"^(cli|figures)\b", r"polyroots_\1", name) for name in there}
    assert listed == renamed
    assert {path.parent.name for path in ROOT.glob("*/py.typed")} == {"polyroots", "cli", "figures"}


@pytest.mark.parametrize("code", ["import polyroots", "import polyroots_cli.main"])
def test_starting_imports_no_heavy_library(code):
    assert not imported_modules(code) & {"torch", "numpy", "scipy", "matplotlib", "torchvision", "rich"}


def test_numbers_import_no_torch():
    assert "torch" not in imported_modules(
        "import polyroots as pr; pr.eigenvalues, pr.select_roots, pr.ResidualPolynomial"
    )


def test_the_module_is_the_command(tmp_path):
    for arguments in (("--help",), ("--version",)):
        result = python("-m", "polyroots", *arguments, cwd=tmp_path)
        assert result.returncode == 0
        command = subprocess.run(
            [Path(sys.executable).parent / "polyroots", *arguments], capture_output=True, text=True, check=True
        )
        assert result.stdout.replace("python -m polyroots", "polyroots") == command.stdout
    assert pr.__version__ in command.stdout


def test_a_mistake_has_no_traceback_and_its_exit_status(tmp_path):
    result = python("-m", "polyroots", "spectrum", "none.pt", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: no file none.pt: expected a checkpoint\n"
    assert python("-m", "polyroots", "spectrum", cwd=tmp_path).returncode == 2


def test_an_ascii_log_is_no_error(tmp_path):
    result = python("-m", "polyroots", "models", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "q4r" in result.stdout


def test_every_public_name_is_there():
    for name in pr.__all__:
        assert getattr(pr, name) is not None
    assert set(pr.__all__) <= set(dir(pr))
    with pytest.raises(AttributeError, match="no attribute 'spektrum'"):
        pr.spektrum  # noqa: B018


def test_public_functions_are_not_hidden_by_their_modules():
    import polyroots.initialization
    import polyroots.training  # noqa: F401

    assert callable(pr.initialize)
    assert callable(pr.symbol)


def test_imports_run_downwards():
    """Each room may import only from rooms below it."""
    order = [
        "errors",
        "files",
        "operators",
        "pool",
        "eigensolver",
        "matrices",
        "toeplitz",
        "spectrum",
        "singular",
        "search",
        "extremes",
        "compare",
        "factors",
        "nonnormal",
        "leja",
        "coefficients",
        "target",
        "krylov",
        "minimax",
        "diagnosis",
        "polynomial",
        "ellipse",
        "selection",
        "optimisation",
        "strategies",
        "roots",
        "levels",
        "ranking",
        "plotting",
        "models",
        "initialization",
        "layers",
        "verify",
        "export",
        "stored",
        "checkpoint",
        "training",
        "study",
        "report",
        "__init__",
        "__main__",
    ]
    for path in (ROOT / "polyroots").rglob("*.py"):
        room = path.relative_to(ROOT / "polyroots").with_suffix("").parts[0]
        for module in re.findall(r"^\s*from polyroots\.(\w+)", path.read_text(), flags=re.M):
            assert order.index(module) <= order.index(room), f"{path} imports {module}"
    for path in (ROOT / "polyroots").rglob("*.py"):
        if path.name != "__main__.py":
            assert not re.search(r"polyroots_(cli|figures)", path.read_text()), path


def test_the_gate_runs_the_readmes_command():
    readme = (ROOT / "README.md").read_text()
    assert "pip install -e . && polyroots train" in readme
    assert '<!-- tests -->\n```sh\npip install -e ".[dev]" && pytest -n auto --dist loadgroup\n```' in readme


def test_the_python_of_the_docs_runs():
    for page in sorted((ROOT / "docs").glob("*.md")):
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S)
        assert blocks, page
        exec("\n".join(blocks), {})


def test_the_readme_names_every_strategy():
    for page in ("README.md", "docs/choosing-roots.md"):
        text = (ROOT / page).read_text()
        assert all(f"`{name}`" in text for name in STRATEGIES), page


def test_the_docs_name_every_network_and_placement():
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs" / "networks.md").read_text()
    assert all(f"`{name}`" in readme for name in NAMES)
    assert all(
        re.search(rf"^\| `{name}`.*\| `{re.escape(str(p))}` \|", page, flags=re.M) for name, p in PLACEMENTS.items()
    )


def test_the_readmes_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    assert names["zeros"].conditions.min() >= 1
    assert len(names["found"].spectra) == 4
    assert len(names["Lambda"]) == 65_536
    assert names["report"].degree == 3
