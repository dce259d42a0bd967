"""The options that choose a network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import fails, run

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.models import NAMES, PLACEMENTS

SMALL = ("--limit", 20, "--epochs", 1, "--channels", "4,8")


def test_models_lists_every_network_with_its_cost() -> None:
    table = run("models").stdout
    for name in NAMES:
        assert re.search(rf"^ *{name} ", table, flags=re.M), name
    assert re.search(r"q2 \* +L,L +64,128,256,256 +1 +1,385,554 +3 11 43 43 +7 +238\.7 M +1 of 8", table)
    assert re.search(r"mgnet-hx +- +256,256,256,256 +- +8,278,794 +14 29 29 29 +7 +3,602\.6 M +-", table)
    assert re.search(r"resnet18 +- +64,128,256,512 +- +11,173,962 +1 5 19 75 +- +555\.4 M +-", table)


def test_models_counts_multiply_adds() -> None:
    """The expected counts are by hand: 3x3 convolutions at each level, stem, transitions and head."""
    (q2,) = json.loads(run("models", "q2", "--json").stdout)
    pixels, channels = [1024, 256, 64, 16], [64, 128, 256, 256]
    A = [9 * n * c * c for n, c in zip(pixels, channels, strict=True)]
    stem = 9 * 3 * 64 * 1024
    # Each output channel of Pi and R reads one input channel.
    transitions = sum(2 * 9 * n * c for n, c in zip(pixels[1:], channels[1:], strict=True))
    assert q2["multiply_adds"] == stem + 2 * sum(A[:3]) + A[3] + transitions + 256 * 10
    # The network consists of levels, stem and head.
    assert q2["weights"] == sum(q2["level_weights"]) + 9 * 3 * 64 + 2 * 64 + 2570
    assert q2["applications"] == 7
    assert (q2["coefficients"], q2["inert"]) == (8, [{"level": 1, "block": 1, "letter": "L", "powers": [0]}])
    assert q2["placements"] == ["bn,plain,bn-relu"] * 2


def test_models_lists_what_is_asked_for() -> None:
    rows = json.loads(run("models", "q4", "L,C,C", "--placement", "smoother", "--scale", "1/sqrt(2)", "--json").stdout)
    assert [(row["name"], row["degree"], row["channels"]) for row in rows] == [
        ("q4", 3, [45, 90, 180, 180]),
        ("L,C,C", 4, [45, 90, 180, 180]),
    ]
    assert all(row["inert"] == [] and set(row["placements"]) == {str(PLACEMENTS["smoother"])} for row in rows)
    (mgnet,) = json.loads(run("models", "mgnet-ab", "--steps", 4, "--steps-per-a", 2, "--json").stdout)
    assert mgnet["applications"] == 4 + 5 + 5 + 4
    placements = json.loads(run("models", "--placements", "--json").stdout)
    assert {row["name"]: row["text"] for row in placements} == {n: str(p) for n, p in PLACEMENTS.items()}
    assert "leave --scale out" in run("models", "--placements", "--scale", "1/4", exit_code=2).stderr
    assert "leave the names out" in run("models", "q2", "--placements", exit_code=2).stderr
    table = run("models", "--placements").stdout
    assert all(re.search(rf"^ *{name} +{re.escape(str(p))} ", table, flags=re.M) for name, p in PLACEMENTS.items())


def test_every_option_reaches_the_network(tmp_path: Path) -> None:
    options: tuple[str | int, ...] = (
        "--blocks",
        "L, C",
        "--placement",
        "regular",
        "--quadratic-placement",
        "bn,A:relu,plain",
    )
    options += ("--steps-per-a", 1, "--padding", "circular", "--a-init", "shifted", "--alphas", "fixed")
    run("train", *SMALL, *options, "--out", tmp_path / "run")
    config = load_checkpoint(tmp_path / "run" / "last.pt").config
    assert config.blocks == ("L", "C")
    assert [str(placement) for placement in config.placements] == ["bn-relu,bn-relu,plain", "bn,A:relu,plain"]
    assert (config.steps_per_A, config.padding, config.A_init, config.alphas) == (1, "circular", "shifted", "fixed")
    run("init", "--channels", "4,8", *options, "--out", tmp_path / "init.pt")
    start = load_checkpoint(tmp_path / "init.pt")
    assert start.config == config
    # Fixed coefficients are still those of the spectrum after training.
    for key, value in load_checkpoint(tmp_path / "run" / "last.pt").weights.items():
        if key.endswith("alphas"):
            assert torch.equal(value, start.weights[key])
    run("evaluate", tmp_path / "run" / "last.pt", "--limit", 20)


@pytest.mark.parametrize("name", ["mgnet-ab", "mgnet-a", "mgnet", "mgnet-hx", "resnet20"])
def test_other_networks_train(name: str, tmp_path: Path) -> None:
    channels = ("--channels", "4,8,8") if name == "resnet20" else ("--channels", "4,8")
    output = run("train", *SMALL[:4], *channels, "--model", name, "--out", tmp_path / "run").stdout
    assert f"{name}, " in output
    assert "Inert" not in output
    run("evaluate", tmp_path / "run" / "last.pt", "--limit", 20)
    layers = json.loads(run("spectrum", tmp_path / "run" / "last.pt", "--json").stdout)
    assert json.dumps(layers).count("A") or name == "resnet20"


def test_each_A_has_the_roots_of_its_own_spectrum(tmp_path: Path) -> None:
    options = ("--blocks", "L,S,C,L", "--steps-per-a", 2, "--channels", "4,8", "--seed", 11)
    found = json.loads(run("init", *options, "--out", tmp_path / "init.pt", "--json").stdout)
    model: Any = load_checkpoint(tmp_path / "init.pt").model()
    assert [level["title"] for level in found["levels"]] == [
        *("level 1, steps 1-2", "level 1, steps 3-4", "level 2, steps 1-2", "level 2, steps 3-4")
    ]
    assert found["degree"] == 5
    for level, (index, group, blocks) in zip(
        found["levels"], [(0, 0, "L,S"), (0, 1, "C,L"), (1, 0, "L,S"), (1, 1, "C,L")], strict=True
    ):
        A = model.levels[index].A[group].weight
        assert level["name"] == f"levels.{index}.A.{group}.weight"
        roots = pr.select_roots(pr.eigenvalues(A, model.config.sizes[index]), blocks=blocks)
        assert [complex(*z) for block in level["blocks"] for z in block["roots"]] == pytest.approx(roots.tolist())
        for block, step in zip(level["blocks"], model.levels[index].blocks[2 * group :], strict=False):
            assert step.alphas.tolist() == pytest.approx(block["alphas"], rel=1e-6)
    assert "1, steps 3-4" in run("init", *options).stdout
    compared = json.loads(run("init", tmp_path / "init.pt", "--compare", "--json").stdout)["comparison"]
    assert "as it is" in {row["strategy"] for row in compared}
    # Where each step has its own A, roots are chosen for each A, so they can't choose the blocks of the level.
    by_degree = json.loads(
        run("init", "--degree", 3, "--roots", "real", "--steps-per-a", 2, *options[4:6], "--json").stdout
    )
    assert by_degree["model"]["name"] == "q4"
    # At the first level a step that reads f alone shares the next one's A.
    alone = json.loads(run("init", "--model", "q2", "--steps-per-a", 1, "--channels", "4,8", "--json").stdout)
    assert [level["title"] for level in alone["levels"]] == ["level 1", "level 2, step 1", "level 2, step 2"]


def test_inert_coefficients_are_told() -> None:
    text = run("init", "--model", "q4", "--channels", "4,8").stdout
    assert "Inert in training: block 1 (L, alpha0) and block 2 (L, alpha0) of levels 1, 2." in text
    text = run("init", "--model", "q2", "--channels", "4,8").stdout
    assert "Inert in training: block 1 (L, alpha0) of level 1." in text
    text = run("init", "--blocks", "C,L", "--placement", "regular", "--channels", "4,8").stdout
    assert "block 1 (C, common factor of alpha0 and alpha1) and block 2 (L, alpha0) of levels 1, 2." in text
    assert "Inert" not in run("init", "--model", "q4", "--placement", "smoother", "--channels", "4,8").stdout
    document = json.loads(run("init", "--model", "q4", "--channels", "4", "--json").stdout)
    assert document["inert"] == [{"level": 1, "block": b, "letter": "L", "powers": [0]} for b in (1, 2)]


def test_a_placement_of_quadratic_blocks_needs_some() -> None:
    message = fails("init", "--degree", 1, "--quadratic-placement", "outside", "--channels", "4", exit_code=2)
    assert "a placement of quadratic blocks, 'outside', needs a block R or C, got L,L" in message


def test_roots_choose_the_blocks_and_the_rest_of_the_network_stays(tmp_path: Path) -> None:
    """With --degree alone the blocks fit the roots: four real roots take L,L,R in place of q4's L,L,C."""
    options = (
        "--degree",
        3,
        "--roots",
        "real",
        "--channels",
        "4",
        "--quadratic-placement",
        "A-bn",
        "--padding",
        "circular",
    )
    run("init", *options, "--out", tmp_path / "a.pt")
    config = load_checkpoint(tmp_path / "a.pt").config
    assert (config.name, config.quadratic_placement, config.padding) == ("L,L,R", "A-bn", "circular")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--model", "q2", "--blocks", "L,C"), "both choose the network; leave one of them out"),
        (("init", "--model", "q2", "--blocks", "L,C"), "both choose the network; leave one of them out"),
        (("train", "--blocks", "L,X"), "unknown block 'X'"),
        (("train", "--blocks", "L,L,C", "--degree", 2), "degree 2 does not fit the blocks L,L,C"),
        (("train", "--scale", 2, "--channels", "4,8"), "channels and a scale both decide the channels, got 2"),
        (("train", "--scale", "sqrt"), "expected a positive number such as 0.5, sqrt2 or 1/sqrt8, got 'sqrt'"),
        (("train", "--scale", "1/0"), "expected a positive number such as 0.5"),
        (("train", "--scale", "1/2/3"), "expected a positive number such as 0.5"),
        (("train", "--scale", "1/1000"), "a scale of 0.001 leaves no channel of 32"),
        (("train", "--placement", "smother"), "unknown placement 'smother': did you mean 'smoother'"),
        (("train", "--model", "resnet18", "--placement", "smoother"), "placement is no option of resnet18"),
        (("train", "--model", "mgnet-ab", "--alphas", "fixed"), "alphas is no option of mgnet-ab"),
        (("train", "--model", "q4", "--steps", 3), "steps is no option of q4"),
        (("train", "--model", "q4", "--max-pool"), "--max-pool is no option of q4"),
        (("init", "--model", "mgnet-ab"), "mgnet-ab has no polynomial, so no degree and no roots"),
        (("models", "q9"), "unknown model 'q9'"),
        (("models", "--steps", 3), "name some: polyroots models mgnet-ab --steps"),
        (("models", "q2", "--scale", "1e9"), "a positive number of at most 1e+06 as the scale"),
        (("train", "--channels", 99999999999), "channels.0: input should be less than or equal to 65536"),
        (("train", "--model", "mgnet", "--steps", 99999999), "steps: input should be less than or equal to 10000"),
        (("models", "--placement", "smoother"), "name some: polyroots models q4 --placement"),
        (("models", "resnet18", "--placement", "smoother"), "placement is no option of resnet18"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[int | str, ...], message: str) -> None:
    assert message in fails(*arguments, exit_code=2)


@pytest.mark.parametrize(
    "option", [("--scale", 2), ("--placement", "smoother"), ("--steps-per-a", 1), ("--a-init", "shifted")]
)
def test_a_network_that_is_there_takes_no_options(option: tuple[str, int | str], init_file: Path) -> None:
    name = option[0]
    assert f"brings the network and its roots; leave {name} out" in fails(
        "train", "--init", init_file, *option, exit_code=2
    )
    assert f"brings its own convolutions; leave {name} out" in fails("init", init_file, *option, exit_code=2)


def test_the_boundary_of_a_checkpoints_spectrum_has_its_own_option(init_file: Path) -> None:
    message = fails("init", init_file, "--padding", "zeros", exit_code=2)
    assert "the boundary that their spectrum is taken with is --spectrum-padding" in message
    found = json.loads(run("init", init_file, "--spectrum-padding", "zeros", "--json").stdout)
    assert (found["padding"], found["network_padding"]) == ("zeros", "zeros")
    drawn = ("init", "--channels", "4,8", "--padding", "circular", "--json")
    found = json.loads(run(*drawn).stdout)
    assert (found["padding"], found["network_padding"]) == ("circular", "circular")


def test_blocks_are_names_where_they_have_one(tmp_path: Path) -> None:
    run("init", "--blocks", "L,L,C", "--channels", "4,8", "--out", tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt").config.name == "q4"
