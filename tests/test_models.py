from __future__ import annotations

import copy
from dataclasses import astuple

import numpy as np
import pytest
import torch
from dense import dense_operator
from torch import Tensor, nn

import polyroots as pr
from polyroots.factors import factors_from_roots
from polyroots.models import Level, Placement, convolutions, count_weights, model_config
from polyroots.models.config import default_channels

POLYNOMIAL = ("q2", "q4", "q4r", "q6", "q8", "R,C", "C,L")


def textbook(model: nn.Module, x: Tensor) -> Tensor:
    """Poly-MgNet as the paper writes it: the residual f - A u computed anew for every step and transition."""
    f = model.stem(x)
    u = torch.zeros_like(f)
    for index, level in enumerate(model.levels):
        A = level.A
        for block in level.blocks:
            s = block.rho(f - A(u))
            total = torch.zeros_like(s)
            for k, alpha in zip(block.powers, block.alphas, strict=True):
                power = s
                for _ in range(k):
                    power = A(power)
                total = total + alpha * power
            u = block.output(u + block.update(total))
        if index + 1 < len(model.levels):
            transition = model.transitions[index]
            coarse = transition.Pi(u)
            f = transition.R(torch.relu(f - A(u))) + model.levels[index + 1].A(coarse)
            u = coarse
    return model.head(u.mean(dim=(2, 3)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
@pytest.mark.parametrize("name", POLYNOMIAL)
def test_carried_residual_is_the_textbook_network(name, padding, training):
    """Outputs, and gradients relative to the largest gradient, in float64."""
    torch.manual_seed(17)
    ours = pr.models.build(name, image_size=(12, 9), channels=(4, 8, 8), padding=padding).double()
    pr.initialize(ours)
    ours.train(training)
    theirs = copy.deepcopy(ours)
    x = torch.randn(5, 3, 12, 9, dtype=torch.float64)
    a, b = ours(x), textbook(theirs, x)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10 * float(b.detach().abs().max()))
    direction = torch.randn_like(a)
    (a * direction).sum().backward()
    (b * direction).sum().backward()
    largest = max(float(p.grad.abs().max()) for p in theirs.parameters())
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert float((p.grad - q.grad).abs().max()) < 1e-10 * largest, key


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
def test_a_plain_level_multiplies_its_residual_by_q_of_A(blocks, roots, rng):
    """With every place plain and circular padding: r <- q(A) r and u <- p(A) r, against the dense matrix."""
    level = Level(3, blocks, padding="circular", placements=[Placement()] * len(blocks.split(","))).double()
    for block, factor in zip(level.blocks, factors_from_roots(blocks, roots), strict=True):
        block.set_alphas(factor.coefficients)
    A = dense_operator(level.A.weight.detach().numpy(), (4, 5))
    r = rng.standard_normal((1, 3, 4, 5))
    u, carried = level(None, torch.from_numpy(r))

    q = np.eye(len(A), dtype=complex)
    for root in roots:
        q = q @ (np.eye(len(A)) - A / root)
    np.testing.assert_allclose(carried.detach().numpy().ravel(), (q @ r.ravel()).real, atol=1e-12)
    # u smooths the error: f - A u = q(A) f.
    np.testing.assert_allclose(r.ravel() - A @ u.detach().numpy().ravel(), (q @ r.ravel()).real, atol=1e-12)


def test_q2_applies_A_seven_times():
    """Two steps on four levels, the last residual unused: 7 applications where the textbook has twice as many."""
    model = pr.models.build("q2", channels=(4, 8, 16, 16))
    calls = []
    for level in model.levels:
        level.A.register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(1, 3, 32, 32))
    assert len(calls) == 7
    calls.clear()
    textbook(model, torch.randn(1, 3, 32, 32))
    # Two steps a level; then f - A u on leaving and A' Pi u on entering, three times each.
    assert len(calls) == 2 * 4 + 3 + 3


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("q2", 1_385_554),
        ("q4", 1_388_378),
        ("q4r", 1_385_554),
        ("q6", 1_388_378),
        ("q8", 1_391_198),
        ("resnet18", 11_173_962),
    ],
)
def test_weights_are_counted(name, weights):
    with torch.device("meta"):
        assert count_weights(pr.models.build(name)) == weights


@pytest.mark.parametrize("name", [*POLYNOMIAL, "resnet18"])
@pytest.mark.parametrize(("size", "channels", "classes"), [(8, 1, 10), ((28, 28), 1, 10), ((32, 48), 3, 7), (3, 2, 2)])
def test_networks_for_other_images(name, size, channels, classes):
    with torch.device("meta"):
        model = pr.models.build(name, image_size=size, in_channels=channels, classes=classes)
        H, W = (size, size) if isinstance(size, int) else size
        assert model(torch.empty(4, channels, H, W)).shape == (4, classes)


NAMED = {
    "q2": [("bn", "plain", "bn-relu")] * 2,
    "q4": [("bn-relu", "bn-relu", "plain")] * 2 + [("bn-relu", "plain", "bn-relu")],
    "q4r": [("bn-relu", "bn-relu", "plain")] * 2,
    "q6": [("bn-relu", "bn-relu", "plain")] * 2 + [("bn-relu", "plain", "bn-relu")],
    "q8": [("bn-relu", "bn-relu", "plain")] * 3 + [("bn-relu", "plain", "bn-relu")],
    "R,L": [("bn-relu", "plain", "bn-relu"), ("bn-relu", "bn-relu", "plain")],
}


@pytest.mark.parametrize("name", NAMED)
def test_placements_are_the_authors(name):
    """The authors' choice for each block; and each place is what it is called."""
    kinds = {
        "plain": [nn.Identity],
        "bn": [nn.BatchNorm2d],
        "relu": [nn.ReLU],
        "bn-relu": [nn.BatchNorm2d, nn.ReLU],
    }
    model = pr.models.build(name, channels=(2, 4))
    for level in model.levels:
        assert [astuple(block.placement) for block in level.blocks] == NAMED[name]
        for block in level.blocks:
            for place, module in zip(astuple(block.placement), (block.rho, block.update, block.output), strict=True):
                parts = list(module) if isinstance(module, nn.Sequential) else [module]
                assert [type(part) for part in parts] == kinds[place]
    assert [type(part) for part in model.stem] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_one_step_by_its_formula():
    """q2's step u <- relu bn(u + alpha bn r), with batch norm written out."""
    torch.manual_seed(23)
    level = Level(3, "L", placements=[Placement("bn", "plain", "bn-relu")]).double()
    level.blocks[0].set_alphas([0.7])
    u, r = torch.randn(2, 4, 3, 5, 5, dtype=torch.float64)

    def bn(x):
        mean, var = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt()

    new = torch.relu(bn(u + 0.7 * bn(r)))
    ours, residual = level(u, r)
    torch.testing.assert_close(ours, new)
    torch.testing.assert_close(residual, r - level.A(new - u))


def test_coefficients_are_neutral_until_they_are_set():
    model = pr.models.build("L,R,S,C", channels=(2,))
    assert [block.alphas.tolist() for block in model.levels[0].blocks] == [[1], [1, 0], [1], [1, 0]]


def test_levels_follow_from_the_image_size():
    assert default_channels((32, 32)) == (64, 128, 256, 256)
    assert default_channels((28, 28)) == (64, 128, 256, 256)
    assert default_channels((64, 64)) == (64, 128, 256, 256, 256)
    assert default_channels((8, 8)) == (32, 64)
    assert default_channels((15, 40)) == (32, 64, 128)
    assert default_channels((16, 16)) == (64, 128, 256)
    assert default_channels((4, 4)) == (32,)
    config = model_config("q4", image_size=28)
    assert config.sizes == ((28, 28), (14, 14), (7, 7), (4, 4))


def test_resnet18_with_pool_halves_the_image():
    with_pool = convolutions(model_config("resnet18", max_pool=True))
    without = convolutions(model_config("resnet18"))
    assert [conv.size for conv in with_pool[:2]] == [(32, 32), (16, 16)]
    assert [conv.size for conv in without[:2]] == [(32, 32), (32, 32)]
    assert convolutions(model_config("resnet18", image_size=8))[-1].size == (1, 1)


def test_convolutions_know_their_geometry():
    config = model_config("q2", image_size=(32, 20))
    found = {conv.name: conv for conv in convolutions(config)}
    # The sizes that a forward pass meets are those that the spectra are computed at.
    assert config.sizes == tuple(found[f"levels.{index}.A.weight"].size for index in range(4))
    assert found["levels.2.A.weight"].size == (8, 5)
    assert found["levels.2.A.weight"].stride == (1, 1)
    assert found["transitions.0.R.weight"].stride == (2, 2)
    assert found["transitions.0.R.weight"].groups == 64
    with torch.device("meta"):
        state = pr.models.build("q2", image_size=(32, 20)).state_dict()
    assert set(found) == {name for name, weight in state.items() if weight.ndim == 4}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("q3", {}, "unknown model 'q3': expected q2, q4, q4r, q6, q8, resnet18"),
        ("resnet81", {}, "did you mean 'resnet18'"),
        ("L,Q", {}, "unknown block 'Q'"),
        ("q4", {"channels": (8, 12)}, "multiple of the level's before, got 8,12"),
        ("q4", {"channels": ()}, "at least one level"),
        ("q4", {"channels": (0,)}, "channels"),
        ("q4", {"image_size": 0}, "image_size"),
        ("q4", {"classes": -1}, "classes: input should be greater than 0, got -1"),
        ("q4", {"padding": "reflect"}, "padding: input should be 'zeros' or 'circular', got 'reflect'"),
        ("q4", {"max_pool": True}, "an option of resnet18 alone"),
        ("q4", {"width": 3}, "width: extra inputs are not permitted"),
        ("resnet18", {"channels": (32, 64, 128, 256)}, "resnet18 has the channels 64,128,256,512"),
        ("resnet18", {"padding": "circular"}, "resnet18 has zero padding"),
    ],
)
def test_bad_configurations_are_one_sentence(name, options, message):
    with pytest.raises(pr.InputError, match=message) as caught:
        pr.models.build(name, **options)
    assert "\n" not in str(caught.value)
