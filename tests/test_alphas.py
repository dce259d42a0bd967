"""Coefficients that are set without a spectrum."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run

import polyroots as pr
from polyroots.checkpoints.own import load_checkpoint
from polyroots.models.coefficient_init import AlphaInit


def alphas(model: Any) -> list[float]:
    return [alpha for level in model.levels for step in level.blocks for alpha in step.alphas.tolist()]


def authors_blocks(letters: str, x: list[float]) -> list[list[float]]:
    """Coefficients of p in the authors' code: alpha = 1/x, and (2a - A) / (a^2 + b^2) with a = |1/x|, b = 0."""
    found = []
    for letter, number in zip(letters, x, strict=True):
        a = abs(1 / number)
        found.append([1 / number] if letter in "LS" else [2 * a / a**2, -1 / a**2])
    return found


@pytest.mark.parametrize(
    ("letters", "drawn", "chosen"),
    [
        # Both steps of a level start at the same number, also the two symmetric pairs of their "g4".
        ("LL", 1, [0, 0]),
        ("SS", 1, [0, 0]),
        ("LLC", 3, [0, 1, 2]),
        ("SSC", 3, [0, 1, 2]),
        # Their code takes the second number for all blocks between the first and the last one.
        ("SSSC", 4, [0, 1, 1, 3]),
        ("CC", 2, [0, 1]),
        ("C", 1, [0]),
        ("LR", 2, [0, 1]),
    ],
)
def test_the_authors_draw(letters: str, drawn: int, chosen: list[int]) -> None:
    """`make_polynomial_block` of their base/base_mgnet.py: (-1, 1) times sqrt(6 / (c + c)), once a level."""
    for channels in (1, 12, 64):
        torch.manual_seed(97)
        x = (torch.empty(drawn, dtype=torch.float64).uniform_(-1, 1) * (6.0 / (channels + channels)) ** 0.5).tolist()
        torch.manual_seed(97)
        ours = AlphaInit.parse("xavier").draw(tuple(letters), channels)
        theirs = authors_blocks(letters, [x[index] for index in chosen])
        for block, expected in zip(ours, theirs, strict=True):
            assert block == pytest.approx(expected, rel=1e-12)


def test_drawn_quadratic_blocks_have_fixed_signs_and_a_double_root() -> None:
    """At most 0.43 and 0.047 for 64 channels; both roots of q are a."""
    torch.manual_seed(103)
    pairs = [AlphaInit.parse("xavier").draw(("L", "C"), 64)[1] for _ in range(500)]
    first, second = np.array(pairs).T
    b = (6 / 128) ** 0.5
    assert first.min() > 0
    assert 0.95 * 2 * b < first.max() < 2 * b < 0.434
    assert second.max() < 0
    assert 0.9 * b**2 < -second.min() < b**2 < 0.0469
    for alpha0, alpha1 in pairs[:5]:
        np.testing.assert_allclose(np.roots([-alpha1, -alpha0, 1]), 2 / alpha0, rtol=1e-6)


@pytest.mark.parametrize(
    ("alpha_init", "low", "high"),
    [("xavier", -((3 / 12) ** 0.5), (3 / 12) ** 0.5), ("uniform", -1, 1), ("uniform:0,0.5", 0, 0.5)],
)
def test_linear_blocks_begin_with_reciprocals_of_uniform_numbers(alpha_init: str, low: float, high: float) -> None:
    torch.manual_seed(97)
    x = 1 / np.array([AlphaInit.parse(alpha_init).draw(("L",), 12)[0][0] for _ in range(400)])
    assert low < x.min() < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < x.max() < high
    # Mean and variance of the uniform distribution, to four standard errors.
    assert abs(x.mean() - (low + high) / 2) < 4 * (high - low) / (12 * 400) ** 0.5
    assert x.var() == pytest.approx((high - low) ** 2 / 12, rel=0.2)


def test_uniform_draws_a_number_for_every_block() -> None:
    torch.manual_seed(107)
    x = torch.empty(4, dtype=torch.float64).uniform_(0.5, 2).tolist()
    torch.manual_seed(107)
    ours = AlphaInit.parse("uniform:0.5,2").draw(("L", "L", "L", "L"), 12)
    assert [block[0] for block in ours] == pytest.approx([1 / number for number in x], rel=1e-12)


def test_the_steps_of_a_level_share_a_number_and_the_levels_do_not() -> None:
    torch.manual_seed(109)
    model: Any = pr.models.build("q2", image_size=8, channels=(4, 8))
    pr.initialize(model, alpha_init="xavier")
    first, second = ([step.alphas.item() for step in level.blocks] for level in model.levels)
    assert first[0] == first[1] != second[0] == second[1]


def test_a_double_root_is_reported_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    """In float64 the two coefficients have a double root up to rounding, which no coefficients determine well."""
    torch.manual_seed(113)
    model: Any = pr.models.build("C", image_size=8, channels=(4,)).double()
    (level,) = pr.initialize(model, alpha_init="xavier").levels
    (block,) = level.blocks
    a = 2 / block.alphas[0]
    assert [complex(*root) for root in block.roots] == pytest.approx([a, a], rel=1e-6)
    assert not recwarn.list


def test_constants() -> None:
    model: Any = pr.models.build("L,C", image_size=8, channels=(4, 8))
    pr.initialize(model, alpha_init="constant")
    assert alphas(model) == [1.0] * 6
    pr.initialize(model, alpha_init="constant:-0.5")
    assert alphas(model) == [-0.5] * 6
    each = pr.models.build("L,C", image_size=8, channels=(4, 8), steps_per_A=1)
    report = pr.initialize(each, alpha_init="constant:0.123456789")
    assert alphas(each) == pytest.approx([0.123456789] * 6)
    assert report.alpha_init == "constant:0.123456789"


@pytest.mark.parametrize("name", ["q2", "q4", "q6", "R,C"])
def test_the_report_tells_what_drawn_coefficients_do(name: str) -> None:
    """The report has the roots and the diagnosis of the polynomial that drawn coefficients make."""
    torch.manual_seed(101)
    model: Any = pr.models.build(name, image_size=8, channels=(4, 8))
    seen: list[Any] = []
    report = pr.initialize(model, alpha_init="uniform", on_level=seen.append)
    assert (report.strategy, report.alpha_init, tuple(seen)) == (None, "uniform:-1,1", report.levels)
    assert report.degree == model.config.degree
    for level, module in zip(report.levels, model.levels, strict=True):
        values = pr.eigenvalues(module.A.weight, level.size).values
        q = np.ones_like(values)
        for block, step in zip(level.blocks, module.blocks, strict=True):
            assert list(block.alphas) == step.alphas.tolist()
            factor = 1 - values * sum(a * values**k for k, a in zip(block.powers, block.alphas, strict=True))
            roots = [complex(*root) for root in block.roots]
            np.testing.assert_allclose(np.prod([1 - values / root for root in roots], axis=0), factor, rtol=1e-9)
            q = q * factor
        assert level.diagnosis.max_abs == pytest.approx(abs(q).max(), rel=1e-9)
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xavir", "did you mean 'xavier'"),
        ("xavier:1", "'xavier' takes no numbers"),
        ("uniform:1", "expected uniform:LOW,HIGH, 1e-09 apart at least and at most 1e+09 in modulus, got 'uniform:1'"),
        ("uniform:1,0", "1e-09 apart at least"),
        ("uniform:a,b", "1e-09 apart at least"),
        ("uniform:0,inf", "at most 1e+09"),
        ("uniform:0,5e-324", "1e-09 apart at least"),
        ("uniform:-1e308,1e308", "at most 1e+09"),
        ("constant:0", "constant:VALUE of at least 1e-09 and at most 1e+09 in modulus"),
        ("constant:1e-50", "constant:VALUE of at least 1e-09"),
        ("constant:nan", "constant:VALUE of at least 1e-09"),
        ("constant:", "constant:VALUE of at least 1e-09"),
    ],
)
def test_what_is_no_initialisation_is_said(text: str, message: str) -> None:
    model: Any = pr.models.build("q2", image_size=8, channels=(4,))
    with pytest.raises(pr.InputError, match=re.escape(message)):
        pr.initialize(model, alpha_init=text)
    assert alphas(model) == [1.0, 1.0]
    assert message in fails("train", "--alpha-init", text, exit_code=2)
    assert message in fails("init", "--alpha-init", text, exit_code=2)


def test_train_and_init_draw_the_same_network(tmp_path: Path) -> None:
    options = ("--model", "q4", "--channels", "4,8", "--alpha-init", "uniform:0.1,0.9", "--seed", 3)
    run("init", *options, "--out", tmp_path / "init.pt")
    run("train", *options, "--limit", 20, "--epochs", 1, "--out", tmp_path / "run")
    start = load_checkpoint(tmp_path / "init.pt")
    written = json.loads((tmp_path / "run" / "init.json").read_text())
    assert written == json.loads(json.dumps(start.init))
    assert (written["strategy"], written["alpha_init"]) == (None, "uniform:0.1,0.9")
    run("train", "--init", tmp_path / "init.pt", "--limit", 20, "--epochs", 1, "--seed", 3, "--out", tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())["config"]
    assert (config["alpha_init"], config["roots"]) == ("uniform:0.1,0.9", "extremal")
    first, second = (load_checkpoint(tmp_path / name / "last.pt").weights for name in ("run", "again"))
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_a_trained_networks_coefficients_are_drawn_anew(trained: tuple[Path, str], tmp_path: Path) -> None:
    directory, _ = trained
    before = load_checkpoint(directory / "last.pt")
    run("init", directory / "last.pt", "--alpha-init", "constant:2", "--out", tmp_path / "new.pt")
    after = load_checkpoint(tmp_path / "new.pt")
    for key, value in after.weights.items():
        assert bool((value == 2).all()) if key.endswith("alphas") else torch.equal(value, before.weights[key])


def test_a_network_that_fails_is_left_as_it_was() -> None:
    """The coefficients of a diverged run, which could not be set again, stay as they are after an error."""
    model: Any = pr.models.build("q4", image_size=8, channels=(4, 8))
    with torch.no_grad():
        model.levels[0].blocks[0].alphas.fill_(float("nan"))
        model.levels[1].A.weight.mul_(1e-22)
    before = alphas(model)
    with pytest.raises(pr.InputError, match="beyond"):
        pr.initialize(model)
    assert alphas(model) == pytest.approx(before, nan_ok=True)
    with pytest.raises(pr.InputError, match="leave strategy out"):
        pr.initialize(model, strategy="leja", alpha_init="xavier")


def test_contradictions_are_said(tmp_path: Path) -> None:
    for command in ("train", "init"):
        for options in (("--roots", "leja"),):
            message = fails(command, "--alpha-init", "xavier", *options, exit_code=2)
            assert "sets the coefficients without a spectrum" in message
    assert "leave --compare out" in fails("init", "--alpha-init", "xavier", "--compare", exit_code=2)
    assert "leave --root out" in fails("init", "--alpha-init", "xavier", "--root", 1, exit_code=2)
    assert "mgnet has no coefficients to set; leave --alpha-init out" in fails(
        "train", "--model", "mgnet", "--alpha-init", "xavier", exit_code=2
    )
    assert "resnet18 has no coefficients to set; leave --roots out" in fails(
        "train", "--model", "resnet18", "--roots", "leja", exit_code=2
    )
    torch.save({"conv.weight": torch.randn(2, 2, 3, 3)}, tmp_path / "w.pt")
    assert "is no Poly-MgNet, so it has no coefficients to set (--alpha-init)" in fails(
        "init", tmp_path / "w.pt", "--alpha-init", "xavier", exit_code=2
    )
