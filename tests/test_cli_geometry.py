"""Geometry that a state dict doesn't contain, on the command line: given by hand, or assumed and marked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from dense import dense_operator
from torch import nn

from polyroots_cli.spectrum import findings


@pytest.fixture
def grouped(tmp_path: Path) -> tuple[Path, Any]:
    """Return the file of a small grouped network, and its layers."""
    torch.manual_seed(53)
    model = nn.ModuleDict(
        {
            "square": nn.Conv2d(8, 8, 3, groups=4),
            "shrinks": nn.Conv2d(8, 8, 3, stride=2),
            "up": nn.ConvTranspose2d(8, 8, 2, stride=2),
        }
    )
    torch.save({**model.state_dict(), "gain": torch.ones(8, 1, 1, 1)}, tmp_path / "w.pt")
    return tmp_path / "w.pt", model


def test_stride_dilation_and_groups_by_hand(grouped: tuple[Path, Any]) -> None:
    path, model = grouped
    arguments = ("spectrum", path, "--size", "6x4", "--kind", "both", "--json")
    rules = ("--groups", "square=4", "--stride", "shrinks=2", "--dilation", "squ*=2x1", "--dilation", "up=1")
    layers = {layer["name"]: layer for layer in json.loads(run(*arguments, *rules).stdout)["layers"]}
    assumed = "stride 1, dilation 1 and groups 1 are assumed"
    assert f"{assumed} where no others are given or follow" in run("spectrum", path, *rules, "--list").stdout
    assert f"{assumed}.\n" in run("spectrum", path, "--list").stdout
    square, shrinks = layers["square.weight"], layers["shrinks.weight"]
    A = dense_operator(model["square"].weight.detach().double().numpy(), (6, 4), (2, 1), groups=4)
    assert (square["groups"], square["dilation"]) == (4, [2, 1])
    assert square["radius"] == pytest.approx(np.abs(np.linalg.eigvals(A)).max(), rel=1e-9)
    B = dense_operator(model["shrinks"].weight.detach().double().numpy(), (6, 4), stride=2)
    assert (shrinks["stride"], shrinks["remark"].split(" (")[0]) == ([2, 2], "no eigenvalues")
    assert shrinks["norm"] == pytest.approx(np.linalg.norm(B, 2), rel=1e-9)


def test_what_is_open_names_the_option(grouped: tuple[Path, Any]) -> None:
    path, _ = grouped
    printed = run("spectrum", path, "--size", 4).stdout
    assert "square.weight: not square: 8 output channels from 2; perhaps grouped (4); it has singular values" in printed
    assert "Groups that a state dict doesn't contain are given by hand: --groups square=4" in printed
    assert "gain: four-dimensional, but no weight of a convolution by its name" in printed
    assert "A tensor is taken for a kernel if its exact name is given: --layer gain" in printed
    assert re.search(r"^ *up\.weight \? +8x8x2x2", printed, flags=re.M)
    assert "Perhaps a transposed convolution, by its name: up.weight" in printed
    message = fails("spectrum", path, "--layer", "square", "--size", 4)
    assert message.endswith("are given by hand: --groups square=4")
    exact = json.loads(run("spectrum", path, "--layer", "gain", "--groups", "gain=8", "--size", 4, "--json").stdout)
    assert [(layer["name"], layer["radius"]) for layer in exact["layers"]] == [("gain", 1)]


def test_rules_that_fit_nothing_are_said(grouped: tuple[Path, Any], init_file: Path) -> None:
    path, _ = grouped
    message = fails("spectrum", path, "--stride", "conv*=2")
    assert "no convolution is named like conv*; the names are such as square.weight" in message
    assert message.endswith("(--stride)")
    message = fails("spectrum", path, "--groups", "square=3")
    assert "square.weight: 8 output channels can't be split into 3 groups (--groups)" in message
    for value in ("0", "a=", "2x2x2", "x", "square=two"):
        assert "expected a positive whole number such as 2 or" in fails(
            "spectrum", path, "--stride", value, exit_code=2
        )
    assert "expected a positive whole number" in fails("spectrum", path, "--groups", "2x2", exit_code=2)
    message = fails("spectrum", init_file, "--stride", "2")
    assert "is a file of polyroots and contains one network with its geometry; leave --stride out" in message
    message = fails("init", "--groups", "2", exit_code=2)
    assert "--groups is of the layers of CHECKPOINT, and none is given" in message


def test_roots_of_a_grouped_layer(grouped: tuple[Path, Any]) -> None:
    path, model = grouped
    arguments = ("init", path, "--layer", "square", "--image-size", "4x5", "--degree", 1)
    message = fails(*arguments)
    assert "square.weight (not square: 8 output channels from 2; perhaps grouped (4))" in message
    (level,) = json.loads(run(*arguments, "--groups", "square=4", "--json").stdout)["levels"]
    A = dense_operator(model["square"].weight.detach().double().numpy(), (4, 5), groups=4)
    assert level["radius"] == pytest.approx(np.abs(np.linalg.eigvals(A)).max(), rel=1e-9)
    assert "no convolution is named like none" in fails(*arguments, "--groups", "none=4")


def test_verification_says_what_it_checks(grouped: tuple[Path, Any], init_file: Path) -> None:
    path, _ = grouped
    printed = run("spectrum", path, "--size", 4, "--verify").stdout
    assert (
        "This checks the arithmetic on a small grid: not size, stride, dilation and groups, which are assumed."
        in printed
    )
    assert "This checks the arithmetic on a small grid.\n" in run("spectrum", init_file, "--verify").stdout
    printed = run("spectrum", init_file, "--verify", "--precision", "single").stdout
    assert "This checks the arithmetic on a small grid, in double precision.\n" in printed


def test_an_assumed_size_is_in_the_rows(grouped: tuple[Path, Any]) -> None:
    path, _ = grouped
    for arguments in ((), ("--list",), ("--kind", "singular")):
        assert re.search(r"^ *shrinks\.weight .*at an assumed 32x32", run("spectrum", path, *arguments).stdout, re.M)
        assert "assumed 32x32" not in run("spectrum", path, *arguments, "--size", 32).stdout


def test_long_work_is_announced(grouped: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate stands on stderr, which is no terminal here, and tables and JSON are as they are without it."""
    path, _ = grouped
    assert run("spectrum", path, "--size", 4).stderr == ""
    monkeypatch.setattr(findings, "_LONG", 1e-9)
    for arguments in ((), ("--json",)):
        announced = run("spectrum", path, "--size", 4, *arguments).stderr
        first, *others = announced.splitlines()
        assert re.fullmatch(r"About 0 s of work \(--extremes K .*\)\.", first)
        assert sorted(re.sub(r"about .*", "", line) for line in others) == [
            "  1 layer of shape 8x8x2x2 at 4x4: ",
            "  1 layer of shape 8x8x3x3 at 4x4: ",
        ]
    assert run("spectrum", path, "--size", 4, "--extremes", 2).stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["eigenvalues", "singular"])
def test_the_estimate_is_near_the_time(kind: str) -> None:
    """Within a factor of eight, on a machine that others may use."""
    import time

    from polyroots.analysis import Analysis, analyse, estimate
    from polyroots.analysis.layers import model_layers

    layers, _ = model_layers(nn.Conv2d(192, 192, 3, padding=1), (24, 16))
    analysis = Analysis(kind=kind, workers=1)
    (work,) = estimate(layers, analysis)
    start = time.perf_counter()
    analyse(layers[0], analysis)
    took = time.perf_counter() - start
    assert took / 8 < work.seconds < took * 8


@pytest.mark.parametrize("command", ["spectrum", "init"])
def test_a_message_about_many_layers_is_one_short_line(tmp_path: Path, command: str) -> None:
    names = [f"stage{k // 10}.block{k % 10}.conv.weight" for k in range(60)]
    torch.save({name: torch.ones(5, 3, 3, 3) for name in names}, tmp_path / "w.pt")
    message = fails(command, tmp_path / "w.pt")
    assert len(message) - len(str(tmp_path)) <= 400
    assert "stage0.block0.conv.weight (not square: 5 output channels from 3" in message
    assert re.search(r"; \.\.\. and 5\d more", message)
    assert command == "init" or "--kind singular computes singular values." in message
