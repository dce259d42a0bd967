"""The installed package: what it contains, how it starts, what it imports."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import polyroots as pr
from polyroots.checkpoints import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent


def python(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def imported_modules(code: str) -> set[str]:
    result = python("-c", f"{code}\nimport sys; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_setup_lists_every_package() -> None:
    """An editable install works without the list in setup.cfg, from which a plain install takes its packages."""
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


@pytest.mark.parametrize("code", ["import polyroots", "import polyroots_cli.main, polyroots_cli.layer_names"])
def test_starting_imports_no_heavy_library(code: str) -> None:
    assert not imported_modules(code) & {"torch", "numpy", "scipy", "matplotlib", "torchvision", "rich"}


def test_numbers_import_no_torch() -> None:
    assert "torch" not in imported_modules(
        "import polyroots_cli.bar, polyroots as pr; pr.eigenvalues, pr.select_roots, pr.ResidualPolynomial"
    )


@pytest.mark.slow
def test_training_imports_what_takes_long_only_when_it_is_needed() -> None:
    """Data, configurations, runs that are read, and costs need neither Fabric nor torchvision nor torch's compiler."""
    names = "TrainConfig, train_config, open_data, load_run, Reporter, Interruption, make_optimizer"
    imported = imported_modules(
        f"import polyroots.training, sys\nfrom polyroots.training import {names}\n"
        "print(*(f'import:{name}' for name in sys.modules))\n"
        "import polyroots as pr\n"
        "pr.models.build('q2', channels=(4,)); open_data('digits').load(limit=20)\n"
        "pr.models.cost('mgnet-ab'); pr.models.convolutions(pr.models.model_config('q6'))"
    )
    assert "import:torch" in imported
    for name in ("triton", "flint", "scipy.optimize", "scipy.spatial", "sklearn", "torch._dynamo", "sympy"):
        assert f"import:{name}" not in imported
    assert not imported & {"lightning_fabric", "torchvision"}


def test_the_module_is_the_command(tmp_path: Path) -> None:
    for arguments in (("--help",), ("--version",)):
        result = python("-m", "polyroots", *arguments, cwd=tmp_path)
        assert result.returncode == 0
        command = subprocess.run(
            [Path(sys.executable).parent / "polyroots", *arguments], capture_output=True, text=True, check=True
        )
        assert result.stdout.replace("python -m polyroots", "polyroots") == command.stdout
    assert pr.__version__ in command.stdout


@pytest.mark.slow
def test_a_mistake_has_no_traceback_and_its_exit_status(tmp_path: Path) -> None:
    result = python("-m", "polyroots", "spectrum", "none.pt", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: no file none.pt: expected a checkpoint\n"
    assert python("-m", "polyroots", "spectrum", cwd=tmp_path).returncode == 2


@pytest.mark.slow
def test_an_ascii_log_is_no_error(tmp_path: Path) -> None:
    result = python("-m", "polyroots", "models", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "q4r" in result.stdout


@pytest.mark.slow
def test_closed_streams_are_no_error(tmp_path: Path) -> None:
    """No file of the command gets the number of one."""
    words = [sys.executable, "-P", "-m", "polyroots", "init", "--channels", "2,4", "--out", "init.pt"]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words]
    assert subprocess.run(closed, cwd=tmp_path, check=False).returncode == 0
    assert load_checkpoint(tmp_path / "init.pt").config.channels == (2, 4)


def test_every_public_name_is_there() -> None:
    for name in pr.__all__:
        assert getattr(pr, name) is not None
    assert dir(pr) == sorted(pr.__all__)
    with pytest.raises(AttributeError, match="no attribute 'spektrum'"):
        pr.spektrum  # noqa: B018


def test_the_help_has_the_public_names_by_subject() -> None:
    listed = pr.__doc__.split("Public names by subject")[1]
    subjects = re.sub(r"\n {4}", " ", listed).strip().splitlines()
    names = [name for subject in subjects for name in subject.split(": ")[1].split(", ")]
    assert sorted(names) == sorted(pr.__all__)


def test_public_functions_are_not_hidden_by_their_modules() -> None:
    import polyroots.initialization.run
    import polyroots.training  # noqa: F401

    assert callable(pr.initialize)
    assert callable(pr.symbol)


#: The packages of the library, from the lowest to the highest: each imports from those before it only.
ROOMS = (
    "escaping",
    "text",
    "errors",
    "own_code",
    "limits",
    "arguments",
    "tables",
    "display",
    "files",
    "threads",
    "processes",
    "spectra",
    "polynomials",
    "roots",
    "plotting",
    "models",
    "analysis",
    "checkpoints",
    "initialization",
    "training.data",
    "training.recipes",
    "training.config",
    "training.runs",
    "training.loop",
    "training",
    "study",
    "report",
)
LEAVES = ROOMS[: ROOMS.index("spectra")]


def room_of(module: str) -> str:
    """Return the room that a module of polyroots is in: its first name, or its first two within training."""
    parts = module.split(".")[1:]
    deep = ".".join(parts[:2])
    return deep if deep in ROOMS else parts[0]


def imports_between_rooms() -> list[tuple[Path, str, str]]:
    """Return (file, its room, imported module) for each import statement that leaves a room."""
    found = []
    for path in sorted((ROOT / "polyroots").rglob("*.py")):
        if path.parent.name == "polyroots" and path.name.startswith("__"):
            continue
        relative = path.relative_to(ROOT).with_suffix("")
        room = room_of(".".join(relative.parts[:-1] if relative.name == "__init__" else relative.parts))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                modules = [node.module or ""]
                if node.module == "polyroots":
                    modules = [f"polyroots.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            assert not any(module.split(".")[0] in {"polyroots_cli", "polyroots_figures"} for module in modules), path
            inside = [module for module in modules if module.startswith("polyroots.")]
            found += [(relative, room, module) for module in inside if room_of(module) != room]
    return found


def test_imports_run_downwards() -> None:
    """Each room imports only from rooms below it, so that no two rooms import from each other."""
    for path, room, module in imports_between_rooms():
        assert ROOMS.index(room_of(module)) < ROOMS.index(room), f"{path} imports {module}"


def test_rooms_are_few_and_entered_by_the_door() -> None:
    """A package imports from the `__init__` of another one only, and there are few such imports: one in 205 lines.

    That is fewer than 110 for the 22,560 lines of version 0.1.0.
    """
    between = [item for item in imports_between_rooms() if room_of(item[2]) not in LEAVES]
    between = [item for item in between if item[1].split(".")[0] != item[2].split(".")[1]]
    for path, _, module in between:
        assert module.count(".") == 1, f"{path} imports {module}"
    lines = sum(path.read_text("utf-8").count("\n") for path in (ROOT / "polyroots").rglob("*.py"))
    assert len(between) < lines / 205


def test_files_are_short() -> None:
    """A file that outgrows 400 lines holds two subjects."""
    root = Path(__file__).resolve().parent.parent
    paths = [path for room in ("polyroots", "cli", "figures", "tests") for path in (root / room).rglob("*.py")]
    assert len(paths) > 200
    assert {str(path): n for path in paths if (n := path.read_text("utf-8").count("\n")) > 400} == {}
