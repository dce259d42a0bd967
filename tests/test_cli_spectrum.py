from __future__ import annotations

import csv
import gc
import importlib
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

import polyroots as pr
from polyroots.analysis.export import load_results
from polyroots.checkpoints.own import load_checkpoint
from polyroots.spectra.zero_padding import Eigenpairs
from polyroots_cli.spectrum.pictures import file_stem

PRECISIONS = ("single", "double")


def test_spectrum_of_ours(init_file: Path) -> None:
    result = run("spectrum", init_file)
    document = json.loads(run("spectrum", init_file, "--json").stdout)
    weights = load_checkpoint(init_file).weights
    assert [(layer["name"], layer["size"]) for layer in document["layers"]] == [
        ("levels.0.A.weight", [8, 8]),
        ("levels.1.A.weight", [4, 4]),
    ]
    for layer in document["layers"]:
        Lambda = pr.eigenvalues(weights[layer["name"]], tuple(layer["size"]))
        assert layer["shape"] == list(Lambda.weight.shape)
        assert layer["eigenvalues"] == len(Lambda)
        for name in ("radius", "min_real", "max_real", "max_imag"):
            assert layer[name] == getattr(Lambda, name)
            assert f"{layer[name]:#.4g}" in result.stdout
    assert {layer["name"] for layer in document["skipped"]} == {
        "stem.0.weight",
        "transitions.0.Pi.weight",
        "transitions.0.R.weight",
    }
    assert not document["size_assumed"]
    assert "stem.0.weight: not square: 6 output channels from 1" in result.stdout
    assert "the network itself pads with zeros" in result.stdout


def test_spectrum_of_others_says_what_it_assumes(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 3, bias=False))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "theirs.pt")
    result = run("spectrum", tmp_path / "theirs.pt")
    assert "0.weight" in result.stdout
    assert "are used: size 32x32 (give --size), stride 1, dilation 1 and groups 1 are assumed." in result.stdout
    assert (
        "are used: stride 1, dilation 1 and groups 1 are assumed."
        in run("spectrum", tmp_path / "theirs.pt", "--size", 6).stdout
    )
    given = run("spectrum", tmp_path / "theirs.pt", "--size", "6x5", "--json")
    document = json.loads(given.stdout)
    assert document["layers"][0]["size"] == [6, 5]
    assert (document["size_assumed"], document["geometry_assumed"]) == (False, True)
    Lambda = pr.eigenvalues(network[0].weight, (6, 5))
    assert document["layers"][0]["radius"] == Lambda.radius


def test_numbers_of_the_table_are_those_of_numpy(tmp_path: Path) -> None:
    """The checkpoint holds a Laplacian, whose eigenvalues lie between 0 and 8."""
    K = torch.tensor(np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]), dtype=torch.float32).reshape(1, 1, 3, 3)
    torch.save({"laplacian.weight": K}, tmp_path / "laplacian.pt")
    printed = run("spectrum", tmp_path / "laplacian.pt", "--size", 8).stdout
    assert re.search(r"laplacian\.weight +1x1x3x3 +8x8 +64 +8\.000 +0\.000 +8\.000 +0\.000", printed)


@pytest.mark.slow
@pytest.mark.usefixtures("rough_pictures")
def test_pictures_of_layers_with_odd_names(tmp_path: Path) -> None:
    names = ["a/b.weight", "a_b.weight", "a b.weight", "w$\\foo$", "", ".hidden", "x" * 300, "overview"]
    stems = [file_stem(name, number) for number, name in enumerate(names)]
    assert len({*stems, "overview"}) == len(names) + 1
    assert all(re.fullmatch(r"[\w-][\w.-]{0,124}", stem) for stem in stems)
    assert stems[1] == "a_b.weight"
    torch.save({f"{name}.weight": torch.randn(2, 2, 3, 3) for name in ("a/b", "w$\\foo$")}, tmp_path / "odd.pt")
    result = run("spectrum", tmp_path / "odd.pt", "--size", 4, "--plot", tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3  # and the overview
    assert "a/b.weight" in result.stdout


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.ModuleDict]:
    """Return a file of safetensors with every kind of convolution."""
    torch.manual_seed(43)
    model = nn.ModuleDict(
        {
            "stem": nn.Conv2d(3, 4, 3),
            "square": nn.Conv2d(4, 4, 3),
            "depthwise": nn.Conv2d(4, 4, 3, groups=4),
            "wide": nn.Conv2d(4, 8, 1),
            "up": nn.ConvTranspose2d(8, 4, 2),
            "line": nn.Conv1d(4, 4, 3),
            "volume": nn.Conv3d(4, 4, 3),
        }
    )
    path = tmp_path_factory.mktemp("theirs") / "model.safetensors"
    save_file(model.state_dict(), path)
    return path, model


def test_single_precision_says_how_many_digits_it_has(init_file: Path) -> None:
    single, double = (
        json.loads(run("spectrum", init_file, "--precision", which, "--json").stdout) for which in PRECISIONS
    )
    for ours, theirs in zip(single["layers"], double["layers"], strict=True):
        assert ours["radius"] != theirs["radius"]
        assert ours["radius"] == pytest.approx(theirs["radius"], rel=1e-5)
        assert re.fullmatch(r"single precision: its eigenvalues are known to \de-0[678] of the radius", ours["remark"])
        assert theirs["remark"] is None
    assert (
        "single precision: its eigenvalues are known to" in run("spectrum", init_file, "--precision", "single").stdout
    )
    # Zero padding needs the eigenvectors of its matrix, in double precision.
    zeros = json.loads(run("spectrum", init_file, "--precision", "single", "--padding", "zeros", "--json").stdout)
    assert all("precision" not in (layer["remark"] or "") for layer in zeros["layers"])


def test_list_computes_nothing(theirs: tuple[Path, nn.ModuleDict]) -> None:
    path, _ = theirs
    printed = run("spectrum", path, "--list").stdout
    assert re.search(r"square\.weight +4x4x3x3 +float32 +at an assumed 32x32 +1x1 +1x1 +1 +unknown", printed)
    assert "radius" not in printed
    assert "stem.weight: not square: 4 output channels from 3; it has singular values" in printed
    assert "line.weight: its weight has 3 dimensions, as a Conv1d's" in printed
    assert "volume.weight: its weight has 5 dimensions, as a Conv3d's" in printed
    assert "up.weight: its bias has 4 entries for 8 rows of weights: a transposed convolution" in printed
    assert "Depthwise: depthwise.weight" in printed
    document = json.loads(run("spectrum", path, "--list", "--json", "--kind", "singular").stdout)
    assert [layer["name"] for layer in document["layers"]] == [
        "depthwise.weight",
        "square.weight",
        "stem.weight",
        "wide.weight",
    ]
    assert len(document["skipped"]) == 3


def test_layers_are_chosen_by_glob(theirs: tuple[Path, nn.ModuleDict]) -> None:
    path, _ = theirs
    document = json.loads(run("spectrum", path, "--layer", "sq*", "--layer", "wide", "--size", 6, "--json").stdout)
    assert [layer["name"] for layer in document["layers"]] == ["square.weight"]
    assert [layer["name"] for layer in document["skipped"]] == ["wide.weight"]
    message = fails("spectrum", path, "--layer", "conv*")
    assert "has no convolution named like conv*; its names are such as depthwise.weight" in message
    message = fails("spectrum", path, "--layer", "wide")
    assert "holds nothing to analyse: wide.weight (not square: 8 output channels from 4; it has singular" in message


def test_singular_values_of_every_layer(theirs: tuple[Path, nn.ModuleDict]) -> None:
    path, model = theirs
    document = json.loads(run("spectrum", path, "--size", "6x5", "--kind", "both", "--json").stdout)
    layers = {layer["name"]: layer for layer in document["layers"]}
    for name, module in model.items():
        if name in ("stem", "square", "depthwise", "wide"):
            sigma = pr.singular_values(module.weight, (6, 5), groups=4 if name == "depthwise" else 1)
            layer = layers[f"{name}.weight"]
            assert layer["norm"] == sigma[0]
            assert layer["condition_number"] == pytest.approx(sigma[0] / sigma[-1])
            assert layer["stable_rank"] == pytest.approx((sigma**2).sum() / sigma[0] ** 2)
    assert layers["stem.weight"]["remark"] == "no eigenvalues (not square: 4 output channels from 3)"
    printed = run("spectrum", path, "--size", "6x5", "--kind", "both").stdout
    assert f"{layers['wide.weight']['norm']:#.4g}" in printed
    assert "stem.weight: no eigenvalues (not square: 4 output channels from 3)" in printed


def test_zero_padding(theirs: tuple[Path, nn.ModuleDict], monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = theirs
    arguments = ("spectrum", path, "--layer", "square", "--size", 6, "--padding", "zeros")
    (layer,) = json.loads(run(*arguments, "--json").stdout)["layers"]
    Lambda = pr.eigenvalues(model["square"].weight, 6, padding="zeros")
    assert (layer["radius"], layer["condition"]) == (Lambda.radius, Lambda.conditions.max())
    printed = run(*arguments).stdout
    assert f"{Lambda.conditions.max():#.4g}" in printed
    assert "Zero padding." in printed
    for module in ("polyroots.spectra.matrix", "polyroots.analysis.layers"):
        monkeypatch.setattr(importlib.import_module(module), "DENSE_LIMIT", 100)
    large = run(*arguments).stdout
    assert re.search(r"square\.weight +4x4x3x3 +6x6 +ends of 144", large)
    assert "Implicitly restarted Arnoldi" in large
    assert "square.weight: only 6 eigenvalues at each end: more than 100 unknowns" in large


def test_values_that_have_not_converged_are_said(
    theirs: tuple[Path, nn.ModuleDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyroots.spectra.zero_padding import Eigenpairs

    def half_converged(operator: Any, count: int, which: str) -> Eigenpairs:
        values = np.array([0.5 + 0.25j, 9 + 9j] * (count // 2))
        residuals = np.array([1e-14, 0.125] * (count // 2))
        return Eigenpairs(values, residuals * np.nan, residuals, residuals, residuals < 1e-9)

    module = importlib.import_module("polyroots.spectra.extreme_eigenvalues")
    monkeypatch.setattr(module, "arnoldi_eigenvalues", half_converged)
    path, _ = theirs
    arguments = ("spectrum", path, "--layer", "square", "--size", 40, "--padding", "zeros", "--extremes", 2)
    printed = run(*arguments).stdout
    assert "square.weight: not converged, and left out above: 1 of 2 at min real (residual 1.2e-01)" in printed
    assert re.search(r"max real +9\.000 \+ 9\.000i +1\.2e-01 +- +NO", printed)
    (layer,) = json.loads(run(*arguments, "--json").stdout)["layers"]
    assert layer["max_real"] == 0.5
    assert [value["converged"] for value in layer["extremes"]["max_real"]] == [False, True]


@pytest.mark.slow
def test_extremes(theirs: tuple[Path, nn.ModuleDict]) -> None:
    path, model = theirs
    arguments = ("spectrum", path, "--layer", "square", "--size", 300, "--extremes", 3)
    printed = run(*arguments).stdout
    found = pr.extreme_eigenvalues(model["square"].weight, 300, 3)
    assert found.method in printed
    assert "Estimate from 24x24 frequencies" in printed
    assert re.search(r"square\.weight +4x4x3x3 +300x300 +ends of 360,000", printed)
    (layer,) = json.loads(run(*arguments, "--json").stdout)["layers"]
    assert layer["radius"] == found.radius
    assert [value["real"] for value in layer["extremes"]["max_real"]] == found.ends["max_real"].values.real.tolist()
    assert layer["suprema"]["max_imag"] == found.ends["max_imag"].supremum


def test_verify_prints_the_matched_error(theirs: tuple[Path, nn.ModuleDict], monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = theirs
    for padding in ("circular", "zeros"):
        arguments = ("spectrum", path, "--size", 6, "--kind", "both", "--verify", "--padding", padding)
        document = json.loads(run(*arguments, "--json").stdout)
        for layer in document["layers"]:
            assert layer["verification"]["good"]
            assert layer["verification"]["singular_error"] < 1e-12
        printed = run(*arguments).stdout
        assert re.search(r"square\.weight +4x4x3x3 +5x4 +\d\.\de-1\d +\d\.\de[-+]\d\d +\S+ +equal to rounding", printed)
    from polyroots.spectra import convolution as operators

    monkeypatch.setattr(operators, "tap_offsets", lambda k, dilation: dilation * np.arange(k))
    result = run("spectrum", path, "--layer", "square", "--size", 6, "--verify", exit_code=1)
    assert "DIFFERENT" in result.stdout
    assert "1 of the layers differ from the explicit matrix by more than rounding explains" in result.stderr


def test_files_hold_the_values(theirs: tuple[Path, nn.ModuleDict], tmp_path: Path) -> None:
    path, model = theirs
    npz, table = tmp_path / "spectra.npz", tmp_path / "spectra.csv"
    printed = run("spectrum", path, "--size", "4x6", "--kind", "both", "--save", npz, "--csv", table).stdout
    assert f"Values in {npz}" in printed
    read = load_results(npz)
    Lambda = pr.eigenvalues(model["square"].weight, (4, 6))
    assert np.array_equal(read["square.weight"].spectrum.values, Lambda.values)
    assert read["wide.weight"].spectrum is None
    with table.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["layer"] == "square.weight"]
    assert sum(row["kind"] == "eigenvalue" for row in rows) == sum(row["kind"] == "singular" for row in rows) == 96
    assert "give a name that ends in .npz" in fails("spectrum", path, "--save", tmp_path / "x.txt", exit_code=2)


@pytest.mark.slow
@pytest.mark.usefixtures("rough_pictures")
def test_two_checkpoints_side_by_side(tmp_path: Path) -> None:
    torch.manual_seed(47)
    first = nn.ModuleDict({"a": nn.Conv2d(3, 3, 3), "b": nn.Conv2d(3, 3, 3), "gone": nn.Conv2d(2, 2, 1)})
    torch.save(first.state_dict(), tmp_path / "a.pt")
    second: Any = nn.ModuleDict({"a": first["a"], "b": first["b"]})
    with torch.no_grad():
        for channel in range(3):
            second["b"].weight[channel, channel, 1, 1] += 0.5
    torch.save(second.state_dict(), tmp_path / "b.pt")
    arguments = ("spectrum", tmp_path / "a.pt", tmp_path / "b.pt", "--size", 5)
    document = json.loads(run(*arguments, "--json").stdout)
    rows = {row["name"]: row for row in document["comparison"]}
    assert (rows["a.weight"]["mean_moved"], rows["a.weight"]["max_moved"]) == (0, 0)
    assert rows["b.weight"]["mean_moved"] == pytest.approx(0.5, abs=1e-6)
    before, after = rows["b.weight"]["max_real"]
    assert after - before == pytest.approx(0.5, abs=1e-6)
    assert rows["gone.weight"]["reason"] == f"only in {tmp_path / 'a.pt'}"
    assert [item["checkpoint"] for item in document["checkpoints"]] == [str(tmp_path / f"{x}.pt") for x in "ab"]
    printed = run(*arguments, "--save", tmp_path / "both.npz").stdout
    assert f"{before:#.4g} -> {after:#.4g}" in printed
    assert f"gone.weight: only in {tmp_path / 'a.pt'}" in printed
    assert list(load_results(tmp_path / "both.npz")) == [
        f"{file}:{name}.weight"
        for file, name in (("a.pt", "a"), ("a.pt", "b"), ("a.pt", "gone"), ("b.pt", "a"), ("b.pt", "b"))
    ]
    run(*arguments, "--layer", "b", "--plot", tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3  # and the overview
    assert "no file" in fails("spectrum", tmp_path / "a.pt", tmp_path / "c.pt")
    only = run("spectrum", tmp_path / "a.pt", tmp_path / "b.pt", "--size", 5, "--layer", "gone").stdout
    assert "No convolution is named like gone" in only
    assert f"gone.weight: only in {tmp_path / 'a.pt'}" in only
    few = json.loads(run(*arguments, "--extremes", 2, "--json").stdout)["comparison"]
    assert few[0]["reason"] == "the distances need all eigenvalues of both checkpoints; these are extremes"


@pytest.mark.slow
@pytest.mark.usefixtures("rough_pictures")
def test_pictures_of_every_kind(theirs: tuple[Path, nn.ModuleDict], tmp_path: Path) -> None:
    path, _ = theirs
    layers = ("--layer", "square", "--layer", "wide")
    run("spectrum", path, *layers, "--size", 6, "--kind", "both", "--plot", tmp_path / "both")
    assert {file.name for file in (tmp_path / "both").iterdir()} == {
        f"{stem}.{suffix}"
        for stem in ("square.weight", "square.weight-singular", "wide.weight", "overview")
        for suffix in ("png", "pdf")
    }
    run("spectrum", path, "--layer", "square", "--size", 200, "--extremes", 2, "--plot", tmp_path / "few")
    assert (tmp_path / "few" / "square.weight.png").exists()


def test_what_is_read_is_never_overwritten(theirs: tuple[Path, nn.ModuleDict], tmp_path: Path) -> None:
    path, _ = theirs
    copy = tmp_path / "copy.npz"
    copy.write_bytes(path.read_bytes())
    for option in ("--csv", "--save"):
        message = fails("spectrum", copy, option, tmp_path / "." / "copy.npz", exit_code=2)
        assert "is the checkpoint itself, and would be overwritten; choose another file" in message
    assert copy.read_bytes() == path.read_bytes()
    message = fails("spectrum", path, "--save", tmp_path / "v.npz", "--csv", tmp_path / "." / "v.npz", exit_code=2)
    assert f"--save and --csv both write {tmp_path / 'v.npz'}; give one of them another name" in message
    assert "is given twice; give two checkpoints" in fails("spectrum", path, path, exit_code=2)


@pytest.mark.parametrize("option", ["--csv v", "--save v", "--plot d", "--verify", "--sample 3", "--precision single"])
def test_a_list_computes_nothing_that_could_be_written(option: str, theirs: tuple[Path, nn.ModuleDict]) -> None:
    message = fails("spectrum", theirs[0], "--list", *option.split(), exit_code=2)
    assert message == f"Error: --list computes nothing; leave {option.split()[0]} out"


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    theirs: tuple[Path, nn.ModuleDict], tmp_path: Path
) -> None:
    path, _ = theirs
    (tmp_path / "file").write_text("")
    for option, name in (("--csv", "x.csv"), ("--save", "x.npz")):
        message = fails("spectrum", path, option, tmp_path / "file" / name)
        assert f"{tmp_path / 'file'} is a file, expected a directory" in message


def test_globs_without_a_layer_are_said(theirs: tuple[Path, nn.ModuleDict]) -> None:
    path, _ = theirs
    printed = run("spectrum", path, "--layer", "square", "--layer", "squares", "--size", 4).stdout
    assert "No convolution is named like squares" in printed


def test_doubtful_eigenvalues_are_said(tmp_path: Path) -> None:
    K = torch.zeros(2, 2, 1, 3, dtype=torch.float64)
    K[0, 0, 0], K[1, 1, 0], K[0, 1, 0, 1] = torch.tensor([1, 0, 0.1]), torch.tensor([0.1, 0, 1]), 1
    torch.save({"w.weight": K, "one.weight": K[:1, :1]}, tmp_path / "w.pt")
    arguments = ("spectrum", tmp_path / "w.pt", "--size", "1x64", "--padding", "zeros")
    printed = run(*arguments).stdout
    assert re.search(
        r"^w\.weight: far from normal, its eigenvalues are known to about \de\+?-?\d+ only$", printed, flags=re.M
    )
    assert "one.weight: far from normal" not in printed
    layers = {layer["name"]: layer for layer in json.loads(run(*arguments, "--json").stdout)["layers"]}
    assert layers["one.weight"]["radius"] == pytest.approx(
        2 * np.sqrt(0.1) * np.cos(np.pi / 65), rel=1e-7
    )  # 0.1 in float32
    assert layers["one.weight"]["error"] < 1e-13


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C within LAPACK prints the finished layers and one sentence, without a traceback, and no file is written."""
    torch.save({"small.weight": torch.randn(2, 2, 3, 3), "large.weight": torch.randn(32, 32, 3, 3)}, tmp_path / "w.pt")
    # A shell starts background programs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = []

    def solver(stack: NDArray[Any]) -> NDArray[Any]:
        if stack.shape[-1] == 32:
            begun.append(stack)
            if len(begun) == 1:
                os.kill(os.getpid(), signal.SIGINT)
        return np.linalg.eigvals(stack)

    monkeypatch.setattr("polyroots.spectra.spectrum.eigvals", solver)
    # Within a callback of the garbage collector, such as hypothesis has one, KeyboardInterrupt is raised in vain.
    gc.disable()
    try:
        result = run("spectrum", tmp_path / "w.pt", "--size", 32, "--save", tmp_path / "w.npz", exit_code=1)
    finally:
        gc.enable()
        signal.signal(signal.SIGINT, before)
    assert result.stderr == "Error: interrupted: 1 of 2 layers done, no file was written\n"
    assert re.search(r"small\.weight +2x2x3x3 +32x32", result.stdout)
    assert not (tmp_path / "w.npz").exists()
    assert len(begun) < 16
