"""The carried residual against the textbook's residual: equal outputs, gradients and statistics of all networks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator
from textbook import level_steps, resnet, textbook
from torch import nn
from torchvision.models import resnet18

import polyroots as pr
from polyroots.models import NAMES, PLACEMENTS, ConvOperator, Level, Placement

MULTIGRID = [name for name in NAMES if not name.startswith("resnet")]


def assert_equal_formulations(model: Any, reference: Any, training: bool, size: tuple[int, int] = (12, 9)) -> None:
    """Require equal outputs, statistics and gradients, these relative to the largest gradient, in float64."""
    ours = model.double().train(training)
    for module in ours.modules():
        if isinstance(module, ConvOperator):
            assert module.padding_mode == ours.config.padding  # of every A and B, from which the oracle takes it
    theirs = copy.deepcopy(ours)
    # Statistics and affine parameters of batch norm other than 0 and 1.
    torch.manual_seed(19)
    for mine, other in zip(ours.modules(), theirs.modules(), strict=True):
        if isinstance(mine, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                drawn = torch.rand_like(getattr(mine, name)) + (0.5 if "bias" not in name else -0.5)
                getattr(mine, name).data.copy_(drawn)
                getattr(other, name).data.copy_(drawn)
    x = torch.randn(5, ours.config.in_channels, *size, dtype=torch.float64)
    a, b = ours(x), reference(theirs, x)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10 * float(b.detach().abs().max()))
    direction = torch.randn_like(a)
    (a * direction).sum().backward()
    (b * direction).sum().backward()
    largest = max(float(p.grad.abs().max()) for p in theirs.parameters() if p.grad is not None)
    assert largest > 0
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), key
        if p.grad is not None:
            assert float((p.grad - q.grad).abs().max()) < 1e-10 * largest, key
    for (key, s), t in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(s, t, rtol=1e-10, atol=1e-10, msg=key)


def small(name: str, **config: Any) -> Any:
    torch.manual_seed(17)
    model: Any = pr.models.build(name, image_size=(12, 9), channels=(4, 8, 8), **config)
    if model.config.is_polynomial:
        pr.initialize(model)
    return model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("name", [*MULTIGRID, "R,C", "C,L"])
@pytest.mark.slow
def test_carried_residual_is_the_textbook_network(name: str, padding: Any, training: bool) -> None:
    assert_equal_formulations(small(name, padding=padding), textbook, training)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("blocks", ["L,L", "S", "R", "C,R", "L,S,C"])
@pytest.mark.parametrize("placement", [name for name in PLACEMENTS if not name.startswith("A-")])
@pytest.mark.slow
def test_every_placement_is_the_textbook_network(placement: str, blocks: str, training: bool, padding: Any) -> None:
    assert_equal_formulations(small(blocks, placement=placement, padding=padding), textbook, training)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("quadratic", [*PLACEMENTS, "bn,A:relu,bn-relu@level"])
@pytest.mark.slow
def test_every_placement_of_quadratic_blocks_is_the_textbook_network(
    quadratic: str, training: bool, padding: Any
) -> None:
    assert_equal_formulations(small("L,C,S,R", quadratic_placement=quadratic, padding=padding), textbook, training)


@pytest.mark.parametrize("placement", [None, "smoother", "relu-outside"])
@pytest.mark.parametrize("per", [1, 2, 3])
@pytest.mark.parametrize("name", ["mgnet-ab", "mgnet-a", "mgnet-hx", "L,S,C,L,R"])
@pytest.mark.slow
def test_other_sharing_is_the_textbook_network(name: str, per: int, placement: str | None) -> None:
    options = {"steps": 5} if name.startswith("mgnet") else {}
    model = small(name, steps_per_A=per, placement=placement, **options)
    assert len(set(model.levels[1].operators)) == -(-5 // per)
    assert_equal_formulations(model, textbook, training=True)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["resnet18", "resnet20", "resnet32", "resnet44"])
def test_resnets_are_the_textbook_networks(name: str, training: bool) -> None:
    torch.manual_seed(31)
    assert_equal_formulations(pr.models.build(name, image_size=(12, 9), scale=1 / 8), resnet, training)


@pytest.mark.parametrize("max_pool", [True, False])
def test_resnet18_is_torchvisions(max_pool: bool) -> None:
    """The weights have the same names; only the stem differs."""
    torch.manual_seed(37)
    ours: Any = pr.models.build("resnet18", num_classes=7, max_pool=max_pool).eval()
    theirs = resnet18(num_classes=7).eval()
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    if not max_pool:
        theirs.maxpool = nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(x), theirs(x))
    # Weights are drawn as torchvision does: normal, with the variance 2 / (kernel size x output channels).
    weight = ours.layer3[0].conv1.weight
    assert weight.shape == (256, 128, 3, 3)
    assert float(weight.detach().var()) == pytest.approx(2 / (9 * 256), rel=0.01)


@pytest.mark.parametrize(
    ("blocks", "roots"),
    [
        ("L,L", [2, -3]),
        ("R", [2, -3]),
        ("S", [1.5, -1.5]),
        ("C", [1 + 2j, 1 - 2j]),
        ("L,S,C,R", [4, 2, -2, 1 + 1j, 1 - 1j, 3, 5]),
    ],
)
@pytest.mark.parametrize("placement", [Placement(), "smoother"])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_a_plain_level_multiplies_its_residual_by_q_of_A(
    blocks: str, roots: list[complex], placement: Any, padding: Any, rng: np.random.Generator
) -> None:
    """r <- q(A) r and u <- p(A) r with the dense matrix; in `smoother`, the output is applied to the u that leaves."""
    level: Any = Level(3, blocks, padding=padding, placement=placement).double()
    level.set_roots(roots)
    A = dense_operator(level.A.weight.detach().numpy(), (4, 5), padding=padding)
    r = rng.standard_normal((2, 3, 4, 5))
    u, carried = level(None, torch.from_numpy(r))
    q = np.eye(len(A), dtype=complex)
    for root in roots:
        q = q @ (np.eye(len(A)) - A / root)
    flat = r.reshape(2, -1).T
    np.testing.assert_allclose(carried.detach().numpy().reshape(2, -1).T, (q @ flat).real, atol=1e-12)
    # u smooths the error: f - A u = q(A) f.
    smoothed = torch.from_numpy(np.linalg.solve(A, flat - (q @ flat).real).T.reshape(r.shape))
    torch.testing.assert_close(u, level.output(smoothed), rtol=0, atol=1e-8)


@pytest.mark.parametrize("blocks", ["L,L,C", "S,R"])
def test_a_trained_level_multiplies_each_frequency_by_q_of_the_symbol(blocks: str, rng: np.random.Generator) -> None:
    """With circular padding q(A) multiplies each Fourier mode by q of the symbol, for any coefficients."""
    level: Any = Level(3, blocks, padding="circular", placement="smoother").double()
    for block in level.blocks:
        block.set_alphas(rng.standard_normal(len(block.powers)).tolist())
    r = rng.standard_normal((1, 3, 6, 5))
    _, carried = level(None, torch.from_numpy(r))
    symbol = pr.symbol(level.A.weight, (6, 5))
    before, after = (np.fft.rfft2(a)[0].transpose(1, 2, 0)[..., None] for a in (r, carried.detach().numpy()))
    for block in level.blocks:
        p = sum(
            alpha * np.linalg.matrix_power(symbol, power)
            for power, alpha in zip(block.powers, block.alphas.tolist(), strict=True)
        )
        before = before - symbol @ (p @ before)
    np.testing.assert_allclose(after, before, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "config", "applications"),
    [
        # Two steps on each of four levels; the last residual is not computed.
        ("q2", {}, 7),
        # Each quadratic block applies A once more.
        ("q4", {}, 7 + 2 * 4),
        ("q8", {}, 15 + 4 * 4),
        ("mgnet-ab", {}, 7),
        # Each step has its own A: applied for f where u is not zero, for the residual of the second A, on leaving.
        ("mgnet", {}, 2 + 3 + 3 + 2),
        ("mgnet", {"steps": 5}, 5 + 6 + 6 + 5),
        ("mgnet-ab", {"steps": 4, "steps_per_A": 2}, 4 + 5 + 5 + 4),
    ],
)
def test_applications_of_A(name: str, config: dict[str, Any], applications: int) -> None:
    model: Any = pr.models.build(name, channels=(4, 8, 16, 16), **config)
    assert pr.models.cost(model.config).applications == applications
    calls = []
    for A in model.operators:
        A.register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(1, 3, 32, 32))
    assert len(calls) == applications


@pytest.mark.parametrize("placement", ["smoother", None])
def test_the_carried_residual_drifts_little_in_float32(placement: str | None) -> None:
    """In q8 with amplifying coefficients the carried residual is as accurate as the recomputed one.

    Both against float64, relative to the largest entry of the residual. Seen over 5 seeds and roots from the
    spectrum's rim down to a twentieth of it: 9e-7 at most, 6 times as much as recomputed at most.
    """
    torch.manual_seed(41)
    level: Any = Level(16, "S,S,S,C", placement=placement)
    spectrum = pr.eigenvalues(level.A.weight, 16)
    # Roots at a seventh of the spectrum's rim: each factor amplifies up to 50 times.
    roots = pr.select_roots(spectrum, blocks="S,S,S,C") / 7
    level.set_roots(roots)
    assert max(abs(a) for block in level.blocks for a in block.alphas.tolist()) > 50
    f = torch.randn(4, 16, 16, 16)
    exact = copy.deepcopy(level).double()
    with torch.no_grad():
        features, carried = copy.deepcopy(level)(None, f)
        _, recomputed = level_steps(copy.deepcopy(level), f, torch.zeros_like(f))
        _, truth = level_steps(exact, f.double(), torch.zeros_like(f).double())
    scale = float(truth.abs().max())
    drift, usual = (float((r - truth).abs().max()) / scale for r in (carried, recomputed))
    assert drift < 2e-6
    assert drift < 10 * usual
    assert features.isfinite().all()
