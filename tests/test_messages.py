"""Messages stay short whatever is given: lists are cut with the number of the others, values in their middle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import fails, run

from polyroots.errors import InputError
from polyroots.models import parse_scale
from polyroots.training import open_data

LONG = "x" * 300
# Python reads no whole number of more than 4,300 digits.
DIGITS = "1" * 5000


def kernels(*names: str) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.ones(5, 3, 3, 3) for name in names}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (kernels(*(f"{LONG}.{k}" for k in range(60))), "; ... and 59 more."),
        ({f"net{k}": kernels("a") for k in range(60)}, "net7 (1 convolution), ... and 52 more; name the entry to read"),
        ({f"{LONG}{k}": kernels("a") for k in range(60)}, "... and 59 more; name the entry to read"),
        ({f"{LONG}{k}": k for k in range(60)}, "got 60 entries without one, such as xxx"),
    ],
)
def test_of_files(tmp_path: Path, document: object, message: str) -> None:
    torch.save(document, tmp_path / "w.pt")
    assert message in fails("spectrum", tmp_path / "w.pt")


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("spectrum", "w.pt", "--layer", LONG), 1),
        (("spectrum", "w.pt", *(part for k in range(60) for part in ("--layer", f"glob{k}"))), 1),
        (("spectrum", "w.pt", "--stride", f"{LONG}=2"), 1),
        (("spectrum", "w.pt", "--stride", LONG), 2),
        (("spectrum", "w.pt", "--size", LONG), 2),
        (("spectrum", "w.pt", "--arch", f"torchvision:{LONG}"), 1),
        (("spectrum", "w.pt", "--arch", f"{LONG}:net"), 1),
        (("spectrum", "w.pt", "--arch", f"os:{LONG}"), 1),
        (("spectrum", "w.pt", "--arch", "torchvision:alexnet", "--arch-option", f"{LONG}=1"), 1),
        (("spectrum", "w.pt", "--arch", "torchvision:densenet121"), 1),
        (("train", "--model", LONG), 2),
        (("train", "--model", "llc" * 100), 2),
        (("train", "--augment", f"none,{LONG}"), 2),
        (("train", "--channels", f"{'64,' * 300}x"), 2),
        (("init", "--blocks", "L" * 300), 2),
        (("init", "--blocks", ",".join("L" * 300), "--quadratic-placement", "plain"), 2),
        (("init", "--placement", f"{LONG},bn,bn"), 2),
        (("init", "--root", LONG), 2),
        (("models", "--image-size", DIGITS), 2),
        (("models", "q2", "--channels", f"4,{DIGITS}"), 2),
        (("init", "--two-grid", "--sweeps", DIGITS), 2),
        (("figures", "--out", "figures", "--font", DIGITS), 2),
        (("spectrum", "w.pt", "--cluster", "slurm", "--jobs-dir", "jobs", "--time", DIGITS), 2),
    ],
)
def test_of_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int) -> None:
    """`fails` checks that the message is one line of at most 400 characters."""
    torch.save(kernels("a"), tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    assert "Error: " in fails(*arguments, exit_code=status)


@pytest.mark.slow
def test_of_classes(tmp_path: Path) -> None:
    for name in (*(f"train/class{k}" for k in range(200)), "test/class0"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(InputError, match="expected a positive number") as error:
        parse_scale(LONG)
    assert len(str(error.value)) < 400
    with pytest.raises(OSError, match=r"no image of class0, class1, .*, \.\.\. and 192 more:"):
        open_data("folder", tmp_path)


@pytest.mark.slow
def test_of_assumptions(tmp_path: Path) -> None:
    names = [f"layer{k}.downsample.conv" for k in range(100)]
    torch.save({f"{name}.weight": torch.ones(2, 2, 3, 3) for name in names}, tmp_path / "w.pt")
    for arguments in (("spectrum", "--size", 1), ("init", "--image-size", 1, "--degree", 0)):
        lines = run(arguments[0], tmp_path / "w.pt", *arguments[1:]).stdout.splitlines()
        (line,) = [line for line in lines if line.startswith("Perhaps strided, by its name: layer0.downsample")]
        assert line.endswith(" more")
        assert len(line) <= 400
