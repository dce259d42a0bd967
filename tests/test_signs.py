"""Signs of real roots where a linear block has a ReLU before and after its coefficient."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from torch import nn

import polyroots as pr
from polyroots.models import Rectified, blocks_that_rectify_twice, rectified_coefficients


def network(name: str = "q4", **options: Any) -> Any:
    torch.manual_seed(17)
    return pr.models.build(name, image_size=8, channels=(4, 8), **options)


@pytest.mark.parametrize(
    ("name", "placement", "expected"),
    [
        # L: relu bn alpha relu bn r; C has A in its polynomial.
        ("q4", None, [[True, True, False]] * 2),
        # s = bn r has both signs.
        ("q2", None, [[False, False]] * 2),
        # S applies A, and A s has both signs.
        ("q6", None, [[False, False, False]] * 2),
        # The output is done to u + alpha s, which is alpha s in the very first step alone.
        ("q4", "outside", [[True, False, False], [False, False, False]]),
        ("q4", "smoother", [[False, False, False]] * 2),
        ("q4", "no-relu", [[False, False, False]] * 2),
        ("q4", "relu,relu,plain", [[True, True, False]] * 2),
    ],
)
def test_which_blocks_rectify_twice(name: str, placement: str | None, expected: list[list[bool]]) -> None:
    assert blocks_that_rectify_twice(network(name, placement=placement)) == expected


def first_update(alpha: float) -> torch.Tensor:
    """The update relu bn(alpha relu bn r) on random residuals."""
    torch.manual_seed(19)
    r = torch.randn(64, 1, 16, 16)
    rho = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())
    update = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())
    result: torch.Tensor = update(alpha * rho(r))
    return result


def test_why_a_negative_coefficient_is_bad_there() -> None:
    """It makes of the half of the residual that was cut off a constant, and cuts off most of the rest."""
    positive, negative = first_update(0.3), first_update(-0.3)
    values, counts = negative.round(decimals=4).unique(return_counts=True)
    assert counts.max() > 0.49 * negative.numel()
    assert values[counts.argmax()] == values.max() > 0
    assert positive.std() > 2 * negative.std()


@pytest.mark.parametrize("strategy", ["extremal", "real", "largest", "smallest", "leja", "random"])
def test_the_rule_takes_roots_from_the_positive_side(strategy: str) -> None:
    model = network()
    report = pr.initialize(model, strategy=strategy, signs="placement")
    for level in report.levels:
        (first, second, _) = level.blocks
        assert first.roots[0][0] > 0
        assert second.roots[0][0] > 0
        assert first.roots != second.roots
        assert [block.letter for block in level.blocks] == ["L", "L", "C"]
    assert (report.signs, report.rectified, rectified_coefficients(model)) == ("placement", (), [])
    assert all(step.alphas[0].item() > 0 for level in model.levels for step in level.blocks[:2])


def test_extremal_takes_the_largest_real_part_and_then_leja() -> None:
    values = np.array([-2, -0.5, 0.25, 0.5, 0.9, 1.0, 0.1 + 1j, 0.1 - 1j])
    roots = pr.select_roots(values, blocks="L,L,C", positive=(True, True, False))
    # |x| |x - 1| is largest at 0.5 among the positive real parts.
    np.testing.assert_allclose(roots, [1, 0.5, 0.1 + 1j, 0.1 - 1j])
    # The other block takes the end of larger modulus first.
    np.testing.assert_allclose(pr.select_roots(values, blocks="L,L", positive=(False, True)), [-2, 1])
    np.testing.assert_allclose(pr.select_roots(values, blocks="L,L", positive=(False, False)), [-2, 1])


def test_the_papers_choice_is_unchanged() -> None:
    model = network()
    paper = pr.initialize(model, relax="none", signs="paper")
    assert [block.roots[0][0] < 0 for block in paper.levels[0].blocks[:2]] == [True, False]
    assert list(paper.rectified) == [Rectified(1, 1, "L"), Rectified(2, 1, "L")] == rectified_coefficients(model)


@pytest.mark.parametrize("strategy", ["minimax", "least-squares", "chebyshev"])
@pytest.mark.slow
def test_optimal_roots_keep_their_signs_on_a_shifted_operator(strategy: str) -> None:
    """All real parts are positive there, and the rule changes nothing."""
    name = "L,L" if strategy == "chebyshev" else "q4"
    both = [
        pr.initialize(network(name, A_init="shifted", placement="regular"), strategy=strategy, signs=signs).levels
        for signs in ("paper", "placement")
    ]
    assert both[0] == both[1]


def test_optimal_roots_beside_positive_ones() -> None:
    """Where the optimum has a negative root for L, L takes positive ones and the others are optimal beside them."""
    values = np.array([-2.0, -1.8, 1.0, 1.2, 1.5])
    free = pr.select_roots(values, blocks="L,R", strategy="minimax")
    assert free[0].real < 0 or (free.real < 0).any()
    roots = pr.select_roots(values, blocks="L,R", strategy="minimax", positive=(True, False))
    assert roots[0].real > 0


def test_two_positive_roots_are_those_of_extremal_and_the_pair_is_the_best_beside_them() -> None:
    """The optimum of degree 3 has one positive root at most; over a grid of pairs none is better."""
    values = np.array([-1.0, 1.0, 1.1, 5.0, 5.5, 4 + 1j, 4 - 1j])
    free = pr.select_roots(values, blocks="L,L,C", strategy="minimax")
    assert (free.real[free.imag == 0] > 0).sum() == 1
    options: dict[str, Any] = {"blocks": "L,L,C", "positive": (True, True, False)}
    roots = pr.select_roots(values, strategy="minimax", **options)
    assert roots[:2].tolist() == pr.select_roots(values, **options)[:2].tolist()
    assert (roots[:2].real > 0).all()
    least = np.abs(pr.ResidualPolynomial(roots)(values)).max()
    fixed = np.abs(1 - values / roots[0]) * np.abs(1 - values / roots[1])
    # 1 - s t + p t^2 holds pairs and two real roots.
    s, p = np.meshgrid(np.linspace(-1, 1, 401), np.linspace(-1, 1, 401))
    others = (fixed * np.abs(1 - s[..., None] * values + p[..., None] * values**2)).max(axis=-1)
    assert least <= others.min() * (1 + 1e-9)
    assert others.min() < 1.05 * least


@pytest.mark.parametrize("positive", [(True,), (True, False, False), (False, False, True, False)])
def test_flags_that_do_not_go_with_the_blocks_are_said(positive: tuple[bool, ...]) -> None:
    with pytest.raises(pr.InputError, match="positive: expected for each of the blocks L,C whether it is an L"):
        pr.select_roots([1, 2, 1 + 1j], blocks="L,C", positive=positive)
    with pytest.raises(pr.InputError, match="positive: expected for each of the blocks C,L whether it is an L"):
        pr.select_roots([1, 2, 1 + 1j], blocks="C,L", positive=(True, False))


def test_no_positive_real_part_is_said() -> None:
    message = "blocks L,L rectify twice and need 2 distinct positive real parts, the spectrum has 0; choose signs"
    with pytest.raises(pr.InputError, match=message):
        pr.select_roots([-1, -2, -3.0], blocks="L,L", positive=(True, True))
    with pytest.raises(pr.InputError, match=r"'extremal' gives a negative root to a block L that rectifies twice"):
        pr.select_roots([-1, -2, -3.0], blocks="L,L", positive=(True, True), project=False)


def test_roots_by_hand_stay_and_are_warned_of() -> None:
    model = network()
    report = pr.initialize(model, strategy="given", roots=[0.5, -0.5, 0.3 + 0.4j], relax="none")
    assert [block.roots[0][0] for block in report.levels[0].blocks[:2]] == [0.5, -0.5]
    assert list(report.rectified) == [Rectified(1, 2, "L"), Rectified(2, 2, "L")]


def test_drawn_coefficients_are_warned_of() -> None:
    """Coefficients of both signs: those of blocks L that are negative."""
    model = network()
    report = pr.initialize(model, alpha_init="xavier")
    expected = [
        Rectified(level, block, "L")
        for level, module in enumerate(model.levels, 1)
        for block, step in enumerate(module.blocks, 1)
        if step.letter == "L" and step.alphas.item() < 0
    ]
    assert list(report.rectified) == expected
    all_negative = pr.initialize(model, alpha_init="constant:-1")
    assert len(all_negative.rectified) == 4


def test_shared_and_separate_operators_have_the_same_rule() -> None:
    report = pr.initialize(network(steps_per_A=1), signs="placement")
    roots = [block.roots[0][0] for level in report.levels for block in level.blocks if block.letter == "L"]
    assert len(roots) == 4
    assert min(roots) > 0


def test_the_commands_follow_the_placement_and_warn(tmp_path: Path) -> None:
    options = ("--model", "q4", "--channels", "4,8", "--seed", 3)
    warned = re.compile(r"Warning: the placement rectifies a negative coefficient in block 1 \(L\) of levels 1, 2: ")
    assert warned.search(run("init", *options).stdout)
    text = run("init", *options, "--signs", "placement", "--out", tmp_path / "init.pt").stdout
    assert "signs by the placement" in text
    assert "Warning" not in text
    hand = run("init", "--root", -0.5, "--root", 0.5, "--root", "0.1+0.4j", *options).stdout
    assert "Warning: the placement rectifies a negative coefficient" in hand
    small = ("--limit", 20, "--epochs", 1)
    assert warned.search(run("train", *options, *small, "--signs", "paper", "--out", tmp_path / "paper").stdout)
    said = run("train", *options, *small, "--out", tmp_path / "run").stdout
    assert "Warning" not in said
    run("train", "--init", tmp_path / "init.pt", *small, "--seed", 3, "--out", tmp_path / "again")
    for name in ("run", "again"):
        assert json.loads((tmp_path / name / "config.json").read_text())["config"]["signs"] == "placement"
        assert json.loads((tmp_path / name / "init.json").read_text())["signs"] == "placement"
    # The degree alone leaves the blocks to the roots, but for this rule.
    assert "blocks L,L,C" in run("init", "--degree", 3, "--signs", "placement", "--channels", "4").stdout


@pytest.mark.usefixtures("types_unchecked")
def test_what_has_no_placement_is_said(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.randn(2, 2, 3, 3)}, tmp_path / "w.pt")
    assert "so it has no placement to take the signs of roots from; use signs 'paper' (--signs)" in fails(
        "init", tmp_path / "w.pt", "--signs", "placement", exit_code=2
    )
    with pytest.raises(pr.InputError, match="unknown rule for the signs 'place': did you mean"):
        pr.initialize(network(), signs="place")
    with pytest.raises(pr.InputError, match="leave signs out"):
        pr.initialize(network(), alpha_init="xavier", signs="placement")
