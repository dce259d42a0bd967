"""Blocks and levels as parts of other networks, and the drawing of A."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from dense import dense_operator
from numpy.typing import NDArray
from torch import nn

import polyroots as pr
from polyroots.models import PLACEMENTS, ConvOperator, Level, MgLevel, PolyBlock, count_weights
from polyroots.models.operator import norm_at_any_frequency

ROOT = Path(__file__).resolve().parent.parent


def smoothed(A: NDArray[Any], roots: Any, x: NDArray[Any]) -> NDArray[Any]:
    """Return u with the residual x - A u = q(A) x, from the dense matrix."""
    q = np.eye(len(A), dtype=complex)
    for root in roots:
        q = q @ (np.eye(len(A)) - A / root)
    flat = x.reshape(len(x), -1).T
    return np.linalg.solve(A, flat - (q @ flat).real).T.reshape(x.shape)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize(
    ("roots", "blocks"),
    [([1.2, 0.9], "L,L"), ([0.7, 1 + 0.3j], "L,C"), ([1 + 0.3j, 0.7], "L,C"), ([0.5, 1.5, 1j, 2, -2], "L,L,R,C")],
)
def test_a_poly_block_smooths(roots: list[complex], blocks: str, padding: Any, rng: np.random.Generator) -> None:
    """The block's u satisfies x - A u = q(A) x with the dense matrix; conjugates are completed."""
    torch.manual_seed(5)
    complete = [z for root in roots for z in ({root, np.conj(root)} if np.imag(root) else {root})]
    block: Any = PolyBlock(3, roots, padding=padding, placement="plain,plain,plain").double()
    assert ",".join(step.letter for step in block.level.blocks) == blocks
    A = dense_operator(block.level.A.weight.detach().numpy(), (4, 5), padding=padding)
    x = rng.standard_normal((2, 3, 4, 5))
    # The coefficients were rounded to float32 when they were set.
    u = block(torch.from_numpy(x))
    np.testing.assert_allclose(u.detach(), smoothed(A, complete, x), rtol=1e-5, atol=1e-5)
    smoother: Any = PolyBlock(3, roots, padding=padding).double()
    smoother.load_state_dict(block.state_dict(), strict=False)
    bn = nn.BatchNorm2d(3, affine=False).double()
    torch.testing.assert_close(smoother(torch.from_numpy(x)), torch.relu(bn(u)))


def test_a_strategy_chooses_a_blocks_roots_from_its_own_operator() -> None:
    torch.manual_seed(13)
    block: Any = PolyBlock(6, "minimax", size=(8, 6), degree=4, padding="circular")
    Lambda = pr.eigenvalues(block.level.A.weight, (8, 6))
    chosen = pr.select_roots(Lambda, 4, "minimax")
    t = Lambda.values
    q = np.ones_like(t)
    for step in block.level.blocks:
        alphas = step.alphas.tolist()
        q = q * (1 - t * sum(a * t**k for k, a in zip(step.powers, alphas, strict=True)))
    np.testing.assert_allclose(q, pr.ResidualPolynomial(chosen)(t), atol=1e-6)
    # On the shifted A five roots damp the whole spectrum.
    assert abs(q).max() < 0.1


@pytest.mark.parametrize(
    ("relax", "largest"), [({"relax": "none"}, (2.5, 99)), ({}, (1.9, 2.0001)), ({"relax": 0.1}, (1, 1.9))]
)
def test_a_block_relaxes_the_roots_of_a_strategy(relax: Any, largest: tuple[float, float]) -> None:
    torch.manual_seed(13)
    block = PolyBlock(6, "extremal", size=8, degree=3, A_init="kaiming", padding="circular", **relax)
    A = block.level.groups[0][0].weight.detach().double().numpy()
    # sum over taps of A[:, :, k] exp(i theta k), written out: the symbol.
    theta = 2 * np.pi * np.arange(8) / 8
    phases = np.exp(1j * np.multiply.outer(theta, [-1, 0, 1]))
    symbols = np.einsum("ijkl,yk,xl->yxij", A, phases, phases)
    q: Any = np.eye(6)
    norms = []
    for step in block.level.steps:
        p = sum(a * np.linalg.matrix_power(symbols, k) for k, a in zip(step.powers, step.alphas.tolist(), strict=True))
        q = (np.eye(6) - symbols @ p) @ q
        norms.append(np.linalg.norm(q, ord=2, axis=(2, 3)).max())
    assert largest[0] <= max(norms) <= largest[1]


@pytest.mark.parametrize("blocks", [None, "L,L,C"])
def test_a_block_takes_positive_roots_where_it_rectifies_twice(blocks: str | None) -> None:
    """`regular` has a ReLU before and after alpha, and the largest root is the symbol's largest real part."""

    def block(**options: Any) -> tuple[list[float], NDArray[Any]]:
        torch.manual_seed(13)
        made = PolyBlock(
            6, "extremal", size=8, blocks=blocks, A_init="kaiming", padding="circular", relax="none", **options
        )
        A = made.level.groups[0][0].weight.detach().double().numpy()
        phases = np.exp(1j * np.multiply.outer(2 * np.pi * np.arange(8) / 8, [-1, 0, 1]))
        Lambda = np.linalg.eigvals(np.einsum("ijkl,yk,xl->yxij", A, phases, phases)).ravel()
        assert [step.letter for step in made.level.steps] == ["L", "L", "C"]
        return [1 / step.alphas.item() for step in made.level.steps[:2]], Lambda

    roots, Lambda = block(placement="regular")
    assert roots[0] == pytest.approx(Lambda.real.max(), rel=1e-6)
    assert 0 < roots[1] < roots[0]
    assert np.abs(Lambda.real - roots[1]).min() < 1e-6 * roots[0]
    for place, signs in (("regular", "paper"), ("outside-bn", "placement")):
        ends, _ = block(placement=place, signs=signs)
        assert sorted(ends) == pytest.approx([Lambda.real.min(), Lambda.real.max()], rel=1e-6)


def test_fixed_coefficients_are_not_trained() -> None:
    fixed = PolyBlock(4, [0.5, 1.5], alphas="fixed")
    trained = PolyBlock(4, [0.5, 1.5])
    assert count_weights(trained) - count_weights(fixed) == 2
    fixed(torch.randn(2, 4, 6, 6)).sum().backward()
    assert all(step.alphas.grad is None for step in fixed.level.blocks)
    assert fixed.level.A.weight.grad is not None
    assert any(key.endswith("alphas") for key in fixed.state_dict())
    model: Any = pr.models.build("q4", channels=(4, 8), alphas="fixed")
    assert not any(p.requires_grad for name, p in model.named_parameters() if name.endswith("alphas"))


def test_roots_are_set_all_or_none() -> None:
    level: Any = Level(4, "L,L")
    with pytest.raises(pr.InputError, match="beyond"):
        level.set_roots([2.0, 1e-60])
    assert [step.alphas.tolist() for step in level.blocks] == [[1.0], [1.0]]


def test_parts_are_made_without_numbers_on_meta() -> None:
    roots: Any = torch.tensor([0.5, 1.5], requires_grad=True)
    with torch.device("meta"):
        block: Any = PolyBlock(4, roots=roots)
        assert block(torch.empty(2, 4, 6, 6)).shape == (2, 4, 6, 6)
        model: Any = pr.models.build("q4", channels=(4, 8))
    with pytest.raises(pr.InputError, match="level 1: A has no numbers yet"):
        pr.initialize(model)


def test_a_level_takes_its_roots() -> None:
    level: Any = Level(4, roots=[1 + 1j, 0.5])
    assert [step.letter for step in level.blocks] == ["L", "C"]
    assert level.blocks[0].alphas.tolist() == [2.0]
    assert level.blocks[1].alphas.tolist() == [1.0, -0.5]
    level.set_roots([4, 1, 2])
    assert level.blocks[0].alphas.tolist() == [0.25]
    assert level.blocks[1].alphas.tolist() == [1.5, -0.5]
    u, r = level(None, torch.randn(2, 4, 7, 6))
    again, no_residual = level(u, r, carry_residual=False)
    assert u.shape == r.shape == again.shape == (2, 4, 7, 6)
    assert no_residual is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolyBlock(4, "minimax"), "the strategy 'minimax' needs the size"),
        (lambda: PolyBlock(4, "minimaks", size=4), "did you mean 'minimax'"),
        (lambda: PolyBlock(4, [0.5], blocks="C"), "blocks C need 2 roots, got 1"),
        (lambda: PolyBlock(4, [0.5, 1], degree=3), "degree 3 does not fit the blocks L,L"),
        (lambda: PolyBlock(4, [0.5]), "one root makes p a constant"),
        (lambda: PolyBlock(4, [0.5, 1], placement="regulr"), "did you mean 'regular'"),
        (lambda: PolyBlock(4, [0.0]), "zero can't be a root"),
        (lambda: PolyBlock(4, []), "at least one root"),
        (lambda: PolyBlock(4, [0.5, 1], relax="auto"), "relax is for roots that a strategy chooses"),
        (lambda: PolyBlock(4, "minimax", size=4, relax="aut"), "did you mean 'auto'"),
        (
            lambda: PolyBlock(4, [0.5, 1], signs="placement"),
            "signs is for roots that a strategy chooses; given roots",
        ),
        (lambda: PolyBlock(4, "leja", size=4, signs=cast(Any, "place")), "rule for the signs 'place': did you mean"),
        (lambda: Level(4, roots=[float("nan")]), "must be finite"),
        (lambda: Level(4), "expected blocks such as L,L,C, or roots"),
        (lambda: Level(4, "L,L", roots=[1j]), "block L needs real roots"),
        (lambda: Level(4, "L,L", placement=[pr.models.Placement()]), "a placement for each of 2 blocks, got 1"),
        (lambda: Level(4, "L,L", padding=cast(Any, "reflect")), "unknown padding 'reflect'"),
        (lambda: Level(4, "L,L", A_init=cast(Any, "xavier")), "unknown A_init 'xavier'"),
        (lambda: Level(4, "L,L").set_roots([1]), "blocks L,L need 2 roots, got 1"),
        (lambda: Level(4, "L,L", steps_per_A=0), "at least one step that shares"),
        (lambda: Level(4, "L,L", placement=["smoother", "regulr"]), "did you mean 'regular'"),
        (lambda: Level(0, "L,L"), "expected at least one channel, got 0"),
        (lambda: PolyBlock(cast(Any, 16.0), [1, 2]), "channels: expected a whole number, got 16.0"),
        (lambda: MgLevel(4, 0, PLACEMENTS["regular"]), "at least one step"),
        (lambda: MgLevel(4, 2, PLACEMENTS["A-bn"]), "no A-term"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_what_does_not_fit_is_one_sentence(make: Callable[..., Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 5, 24])
def test_a_shifted_A_lies_in_the_right_half_plane(channels: int) -> None:
    """Eigenvalues are within 1/2 of 1 for any size and both boundaries, and the noise has a norm above 0.4."""
    for seed in (7, 77, 777):
        torch.manual_seed(seed)
        A = ConvOperator(channels, init="shifted")
        for size in ((3, 3), (5, 8), (16, 16), (1, 7)):
            Lambda = pr.eigenvalues(A.weight, size)
            assert abs(Lambda.values - 1).max() <= 0.5
            if channels * size[0] * size[1] < 400:
                W = np.linalg.norm(
                    dense_operator(A.weight.detach().numpy(), size, padding="zeros")
                    - np.eye(channels * size[0] * size[1]),
                    2,
                )
                assert W <= 0.5
        noise = A.weight.detach().double().clone()
        noise[:, :, 1, 1] -= torch.eye(channels)
        assert 0.4 < float(pr.singular_values(noise, 64)[0]) <= 0.5


def test_the_norm_is_bounded_between_the_frequencies_it_is_computed_at() -> None:
    """With rotations by -pi/8 and pi/8 as taps the norm, 2 cos(theta - pi/8), is largest between the 8 frequencies."""
    c, s = np.cos(np.pi / 8), np.sin(np.pi / 8)
    taps = [np.array([[c, -s], [s, c]]), np.zeros((2, 2)), np.array([[c, s], [-s, c]])]
    K = np.array([[np.kron(y, x) for x in taps] for y in taps]).transpose(2, 3, 0, 1)
    assert float(pr.singular_values(K, 16)[0]) == pytest.approx(4)
    assert norm_at_any_frequency(torch.from_numpy(K)) == pytest.approx(4)


@pytest.mark.parametrize("strategy", ["chebyshev", "minimax", "least-squares"])
def test_smoothers_apply_to_a_shifted_A_from_the_start(strategy: str) -> None:
    """Four roots damp the whole spectrum of a shifted A, and no four roots that of a default one, a disc around 0."""
    torch.manual_seed(83)
    options = {"image_size": 8, "channels": (8, 16), "padding": "circular", "placement": "smoother"}
    report = pr.initialize(
        pr.models.build("L,L,C" if strategy != "chebyshev" else "L,L,L,L", A_init="shifted", **options),
        strategy=strategy,
    )
    for level in report.levels:
        assert level.min_real >= 0.5
        assert level.diagnosis.max_abs < 0.25
        assert level.diagnosis.damped == 1
    kaiming = pr.initialize(pr.models.build("q4", **options), strategy="extremal")
    assert all(level.diagnosis.best > 0.9 for level in kaiming.levels)


def test_a_kaiming_A_is_torchs() -> None:
    torch.manual_seed(89)
    ours = ConvOperator(6)
    torch.manual_seed(89)
    assert torch.equal(ours.weight, nn.Conv2d(6, 6, 3, bias=False).weight)


def test_the_manuals_network_of_someone_else() -> None:
    """torchvision's ResNet18 with replaced blocks runs and trains, and these blocks have half the weights."""
    page = (ROOT / "docs" / "networks.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, flags=re.S) if "resnet18" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names: dict[str, Any] = {}
    exec(f"import polyroots as pr\n{code}", names)
    from torchvision.models import resnet18

    net = names["net"]
    blocks = [module for module in net.modules() if isinstance(module, PolyBlock)]
    assert len(blocks) == 3
    theirs: Any = resnet18(num_classes=10)
    replaced = [block for stage in (theirs.layer1, theirs.layer2) for block in stage if block.downsample is None]
    assert sum(map(count_weights, blocks)) < 0.51 * sum(map(count_weights, replaced))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    images, labels = torch.randn(8, 3, 64, 64), torch.arange(8)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
