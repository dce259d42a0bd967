"""Tables on terminals of 80 columns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from commands import run
from forked import on_a_terminal

from polyroots.tables import FittingTable, full_width, table
from polyroots_cli.fitting import fitted, remark


def of_layers(*names: str) -> FittingTable:
    rows = table("layer", "shape", "radius", "norm", less_important=("shape", "norm"))
    for name in names:
        rows.add_row(name, "64x64x3x3", "1.234", "2.345")
    return rows


def width_of(rows: FittingTable) -> int:
    return max(len(line) for line in full_width(rows).plain.splitlines())


def column(rows: FittingTable, index: int) -> list[str]:
    return [str(rows.columns[index].header), *map(str, rows.columns[index].cells)]


def heads(rows: FittingTable) -> list[str]:
    return [str(column.header) for column in rows.columns]


def test_a_table_that_fits_is_whole() -> None:
    rows = of_layers("conv1")
    assert full_width(fitted(rows, 80)) == full_width(rows)
    assert remark(rows, fitted(rows, 80)) == ""


def test_names_lose_their_middle_and_keep_their_mark() -> None:
    rows = of_layers("encoder.stages.3.blocks.11.conv_dw.weight ?", "conv1.weight")
    part = fitted(rows, 55)
    assert width_of(part) == 55
    assert heads(part) == heads(rows)
    assert column(part, 0) == ["layer", "encoder.st...11.conv_dw ?", "conv1.weight"]
    assert remark(rows, part) == "Names are shortened; --wide shows them whole."


def test_columns_are_left_out_in_their_order_before_names_are_unreadable() -> None:
    rows = of_layers("encoder.stages.3.blocks.11.conv_dw.weight", "conv1.weight")
    assert heads(fitted(rows, 45)) == ["layer", "radius", "norm"]
    assert heads(fitted(rows, 35)) == heads(fitted(rows, 20)) == ["layer", "radius"]
    assert remark(rows, fitted(rows, 35)) == "Columns left out: shape, norm; --wide shows all."
    for width in (55, 45, 35, 22):
        assert width_of(fitted(rows, width)) <= width
    # The columns that always stay are never cut.
    assert column(fitted(rows, 5), 1) == ["radius", "1.234", "1.234"]


def lines_on_a_terminal(columns: int, *words: object) -> list[str]:
    """Return the lines that a command prints on a pseudo-terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal(columns, words)).splitlines()


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_the_tables_of_commands_fit(tmp_path: Path) -> None:
    names = ["backbone.encoder.stages.3.blocks.11.spatial_mixing.conv", "conv1"]
    torch.save({f"{name}.weight": torch.ones(128, 128, 3, 3) for name in names}, tmp_path / "w.pt")
    for arguments in (("models",), ("spectrum", tmp_path / "w.pt", "--list")):
        narrow, wide = lines_on_a_terminal(80, *arguments), lines_on_a_terminal(80, *arguments, "--wide")
        assert wide == run(*arguments).stdout.splitlines()
        rule = next(line for line in narrow if set(line.strip()) == {"-"})
        shown = narrow[narrow.index(rule) - 1 : narrow.index("", narrow.index(rule))]
        assert len(shown) > 3
        assert all(len(line) <= 80 for line in shown)
        assert any(line.startswith("Columns left out: ") for line in narrow)
    assert any("backbone.encoder.stages.3.blocks.11.spatial_mixing.conv.weight" in line for line in wide)
    assert any(re.match(r" backbone\S*\.\.\.\S*conv ", line) for line in narrow)
