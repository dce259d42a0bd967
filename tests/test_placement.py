"""Placements of batch norm and ReLU against their formulas, and the coefficients that they make inert."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import polyroots as pr
from polyroots.models import PLACEMENTS, Level, Placement, inert_coefficients

NAMED = {
    "q2": ["bn,plain,bn-relu"] * 2,
    "q4": ["bn-relu,bn-relu,plain"] * 2 + ["bn-relu,plain,bn-relu"],
    "q4r": ["bn-relu,bn-relu,plain"] * 2,
    "q6": ["bn-relu,bn-relu,plain"] * 2 + ["bn-relu,plain,bn-relu"],
    "q8": ["bn-relu,bn-relu,plain"] * 3 + ["bn-relu,plain,bn-relu"],
    "R,L": ["bn-relu,plain,bn-relu", "bn-relu,bn-relu,plain"],
}


@pytest.mark.parametrize("name", NAMED)
def test_placements_are_the_authors(name: str) -> None:
    """The default placements are the authors', and each place has the modules of its name."""
    kinds = {
        "plain": [nn.Identity],
        "bn": [nn.BatchNorm2d],
        "relu": [nn.ReLU],
        "bn-relu": [nn.BatchNorm2d, nn.ReLU],
    }
    model: Any = pr.models.build(name, channels=(2, 4))
    for level in model.levels:
        assert [str(block.placement) for block in level.blocks] == NAMED[name]
        for block, text in zip(level.blocks, NAMED[name], strict=True):
            for place, module in zip(text.split(","), (block.rho, block.update, block.output), strict=True):
                parts = list(module) if isinstance(module, nn.Sequential) else [module]
                assert [type(part) for part in parts] == kinds[place]
    assert [type(part) for part in model.stem] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_the_named_placements() -> None:
    """The named placements are those of the page on networks."""
    assert {name: str(placement) for name, placement in PLACEMENTS.items()} == {
        "regular": "bn-relu,bn-relu,plain",
        "outside": "bn-relu,plain,bn-relu",
        "outside-bn": "bn,plain,bn-relu",
        "relu-outside": "bn-relu,bn,relu@level",
        "relu-outside-nobn": "bn-relu,plain,relu@level",
        "plain": "bn-relu,plain,plain",
        "no-relu": "bn-relu,plain,bn",
        "A-bn": "bn-relu,A:bn,plain",
        "A-bn-relu": "bn-relu,A:bn-relu,plain",
        "smoother": "plain,plain,bn-relu@exit",
    }


@pytest.mark.parametrize("placement", ["relu-outside", "relu-outside-nobn", "smoother", "no-relu"])
def test_an_output_once_a_level_is_not_done_between_two_steps(placement: str) -> None:
    """Two linear steps are compared with their formula, with A u subtracted anew."""
    torch.manual_seed(37)
    level: Any = Level(3, "L,L", placement=placement).double()
    a, b = (step.alphas.detach()[0] for step in level.blocks)
    A = level.A
    f = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    rho = (lambda r: r) if placement == "smoother" else sigma
    update = bn if placement == "relu-outside" else (lambda p: p)
    between = bn if placement == "no-relu" else (lambda u: u)
    u = between(update(a * rho(f)))
    v = between(u + update(b * rho(f - A(u))))
    after = {"smoother": sigma, "no-relu": lambda u: u}.get(placement, relu)
    leaving, residual = level(None, f)
    torch.testing.assert_close(leaving, after(v))
    torch.testing.assert_close(residual, f - A(v if placement == "smoother" else after(v)))


def test_placements_are_read_as_they_are_written() -> None:
    for name, placement in PLACEMENTS.items():
        assert Placement.parse(str(placement)) == Placement.parse(name) == placement
    assert Placement.parse(" plain , A: relu , bn@exit ") == Placement("plain", "relu", "bn", True, "exit")


def bn(x: Tensor) -> Tensor:
    mean, var = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt()


def sigma(x: Tensor) -> Tensor:
    return torch.relu(bn(x))


relu = torch.relu

#: The features after one step C with coefficients a and b, by the paper's formulas, with outputs that are done once.
STEPS = {
    "regular": lambda u, r, A, a, b: u + sigma(a * sigma(r) + b * A(sigma(r))),
    "outside": lambda u, r, A, a, b: sigma(u + a * sigma(r) + b * A(sigma(r))),
    "outside-bn": lambda u, r, A, a, b: sigma(u + a * bn(r) + b * A(bn(r))),
    "relu-outside": lambda u, r, A, a, b: relu(u + bn(a * sigma(r) + b * A(sigma(r)))),
    "relu-outside-nobn": lambda u, r, A, a, b: relu(u + a * sigma(r) + b * A(sigma(r))),
    "plain": lambda u, r, A, a, b: u + a * sigma(r) + b * A(sigma(r)),
    "no-relu": lambda u, r, A, a, b: bn(u + a * sigma(r) + b * A(sigma(r))),
    "A-bn": lambda u, r, A, a, b: u + a * sigma(r) - bn(-b * A(sigma(r))),
    "A-bn-relu": lambda u, r, A, a, b: u + a * sigma(r) - sigma(-b * A(sigma(r))),
    "smoother": lambda u, r, A, a, b: sigma(u + a * r + b * A(r)),
}


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("coefficients", [(0.7, -1.3), (-0.4, 0.9)])
def test_one_step_by_its_formula(placement: str, coefficients: tuple[float, float]) -> None:
    """Batch norm is written out; the residual is that of the new features, or of those before the exit."""
    torch.manual_seed(23)
    level: Any = Level(3, "C", placement=placement).double()
    level.blocks[0].set_alphas(coefficients)
    alphas = level.blocks[0].alphas.detach()

    def A(x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, level.A.weight, padding=1)

    u, r = torch.randn(2, 4, 3, 5, 5, dtype=torch.float64)
    new = STEPS[placement](u, r, A, *alphas)
    ours, residual = level(u, r)
    torch.testing.assert_close(ours, new)
    change = alphas[0] * r + alphas[1] * A(r) if placement == "smoother" else new - u
    torch.testing.assert_close(residual, r - A(change))


def test_the_linear_and_symmetric_steps_by_their_formulas() -> None:
    torch.manual_seed(29)
    u, r = torch.randn(2, 4, 3, 5, 5, dtype=torch.float64)
    for letter in "LS":
        level: Any = Level(3, letter, placement="outside-bn").double()
        level.blocks[0].set_alphas([-0.7])
        alpha = level.blocks[0].alphas.detach()[0]
        p = alpha * bn(r)
        if letter == "S":
            p = torch.nn.functional.conv2d(p, level.A.weight, padding=1)
        torch.testing.assert_close(level(u, r)[0], sigma(u + p))


def dead_directions(model: Any, images: Tensor) -> set[tuple[int, int, Any]]:
    """Return the blocks whose common factor, or one of whose coefficients, doesn't change the loss.

    Batch norm without an epsilon is exactly invariant, and then sum alpha dL/dalpha = 0 (Euler).
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-30  # torch requires a positive one
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    logits = model.train().double()(images)
    (logits * torch.randn_like(logits)).sum().backward()
    dead = set()
    for number, level in enumerate(model.levels, 1):
        for index, block in enumerate(level.blocks, 1):
            slopes = (block.alphas * block.alphas.grad).tolist()
            scale = max(map(abs, slopes)) or 1.0
            if abs(sum(slopes)) < 1e-9 * scale or scale < 1e-9:
                dead.add((number, index, block.powers))
            else:
                dead |= {
                    (number, index, (power,))
                    for power, slope in zip(block.powers, slopes, strict=True)
                    if len(slopes) > 1 and abs(slope) < 1e-9 * scale
                }
    return dead


CASES: list[tuple[str, str | None, str | None]] = [
    (blocks, placement, None)
    for blocks in ("L", "S", "C", "L,L", "C,R", "L,S,C")
    for placement in PLACEMENTS
    if not placement.startswith("A-")
]
CASES += [("L,C", None, quadratic) for quadratic in PLACEMENTS]
CASES += [(blocks, placement, "A-bn") for blocks in ("C", "R") for placement in (None, "outside")]
CASES += [
    ("C", None, text) for text in ("plain,A:bn,bn", "plain,plain,bn", "bn,relu,bn-relu@level", "bn,plain,bn@exit")
]


@pytest.mark.parametrize("channels", [(3, 6), (3,)])
@pytest.mark.parametrize(("blocks", "placement", "quadratic"), CASES)
def test_inert_coefficients_are_those_whose_size_has_no_effect(
    blocks: str, placement: str | None, quadratic: str | None, channels: tuple[int, ...]
) -> None:
    """The coefficients found from the modules are those along which the gradient of a network in float64 is zero."""
    torch.manual_seed(61)
    model: Any = pr.models.build(
        blocks, image_size=8, channels=channels, placement=placement, quadratic_placement=quadratic
    )
    for level in model.levels:
        for block in level.blocks:
            block.set_alphas([0.8, -0.5][: len(block.powers)])
    found = {(item.level, item.block, item.powers) for item in inert_coefficients(model)}
    assert found == dead_directions(model, torch.randn(6, 3, 8, 8, dtype=torch.float64))


def test_scaling_inert_coefficients_by_ten_changes_rounding_only() -> None:
    """The output of a regular step changes by 1e-5; a coefficient that is not inert changes it much."""
    torch.manual_seed(67)
    model: Any = pr.models.build("L,C", image_size=8, channels=(8, 16)).double().train()
    pr.initialize(model)
    images = torch.randn(8, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        before = model(images)
        for item in inert_coefficients(model):
            model.levels[item.level - 1].blocks[item.block - 1].alphas.mul_(10)
        assert 0 < float((model(images) - before).abs().max() / before.abs().max()) < 1e-4
        model.levels[1].blocks[1].alphas.mul_(10)
        assert float((model(images) - before).abs().max() / before.abs().max()) > 0.1


def test_inert_coefficients_are_found_in_wrapped_networks() -> None:
    model: Any = pr.models.build("q4", image_size=8, channels=(4, 8))
    found = inert_coefficients(model)
    assert len(found) == 4
    assert (
        inert_coefficients(cast(nn.Module, torch.compile(model))) == inert_coefficients(nn.DataParallel(model)) == found
    )
    assert inert_coefficients(nn.SyncBatchNorm.convert_sync_batchnorm(model)) == found


def test_other_networks_have_no_coefficients() -> None:
    for name in ("mgnet-ab", "resnet20"):
        assert inert_coefficients(pr.models.build(name, scale=1 / 16)) == []
