"""The operator that a trained level applies, against the level's own forward pass on unit vectors."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from dense import matched_error
from jaxtyping import Float64
from torch import Tensor, nn

import polyroots as pr
from polyroots.models import PLACEMENTS, SmoothingLevel

PLAIN = [name for name in PLACEMENTS if not name.startswith("A-")]


class Gain(nn.Module):
    """ReLU's place in the linear part: a factor for each channel."""

    def __init__(self, of_channels: Tensor | None = None) -> None:
        super().__init__()
        self.of_channels = of_channels

    def forward(self, x: Tensor) -> Tensor:
        return x if self.of_channels is None else self.of_channels[:, None, None] * x


class Recording(nn.Module):
    """A ReLU that keeps its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return x.relu()


def trained(blocks: str, *, channels: tuple[int, ...] = (2, 4), size: Any = (5, 4), **config: Any) -> Any:
    """Return a network whose weights, coefficients and statistics are drawn, as if it had been trained."""
    torch.manual_seed(23)
    model: Any = pr.models.build(blocks, image_size=size, channels=channels, **config).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                drawn = torch.rand_like(getattr(module, name)) + (0.5 if "bias" not in name else -0.5)
                getattr(module, name).data.copy_(drawn)
        for alphas in [p for name, p in module.named_parameters(recurse=False) if name == "alphas"]:
            alphas.data.copy_(torch.rand(len(alphas)) - 0.3)
    return model


def with_relus(level: nn.Module, replacement: Any) -> None:
    """Replace each ReLU by replacement(name)."""
    for name, module in list(level.named_modules()):
        if isinstance(module, nn.ReLU):
            parent, _, child = name.rpartition(".")
            setattr(level.get_submodule(parent), child, replacement(name))


@torch.no_grad()
def dense_maps(level: SmoothingLevel, channels: int, size: tuple[int, int]) -> tuple[Any, Any]:
    """Return the matrices from the entering residual, and from the entering features, to the leaving residual."""
    n = channels * size[0] * size[1]
    units, zero = torch.eye(n).double().reshape(n, channels, *size), torch.zeros(1, channels, *size).double()
    offset = level(zero, zero)[1]

    def matrix(images: Tensor) -> Float64[np.ndarray, "n n"]:
        result: Float64[np.ndarray, "n n"] = (images - offset).reshape(n, n).T.numpy()
        return result

    return matrix(level(zero.expand(n, -1, -1, -1), units)[1]), matrix(level(units, 0 * units)[1])


def assert_is_the_levels(model: Any, padding: str, gains: dict[str, Tensor] | None = None, **options: Any) -> None:
    """Require the spectrum and the norms of every level to be those of its matrix."""
    found = [pr.effective_operator(model, number, padding=padding, **options) for number in range(1, 3)]
    for number, (result, level) in enumerate(zip(found, model.levels, strict=True)):
        prefix = f"levels.{number}."
        with_relus(level, lambda name, prefix=prefix: Gain(None if gains is None else gains[prefix + name]))
        channels, size = model.config.channels[number], model.config.sizes[number]
        of_residual, of_features = dense_maps(level, channels, size)
        scale = np.linalg.norm(of_residual, 2)
        assert (result.level, result.size, result.channels, result.padding) == (number + 1, size, channels, padding)
        assert result.norm == pytest.approx(scale, rel=1e-11)
        assert result.feature_norm == pytest.approx(np.linalg.norm(of_features, 2), rel=1e-11, abs=1e-13)
        Lambda = np.linalg.eigvals(of_residual)
        assert matched_error(result.values, Lambda) * np.abs(Lambda).max() < 1e-8 * scale
        # Moments of the spectrum are well-conditioned whatever the eigenvectors.
        power = np.eye(len(of_residual))
        for k in range(1, 4):
            power = power @ of_residual
            assert (result.values**k).sum() == pytest.approx(np.trace(power), abs=float(1e-10 * scale**k * len(power)))


@pytest.mark.parametrize("blocks", ["L", "S", "R", "C", "L,L,C", "S,R"])
@pytest.mark.parametrize("placement", PLAIN)
def test_every_placement(placement: str, blocks: str) -> None:
    assert_is_the_levels(trained(blocks, placement=placement, padding="circular"), "circular")


@pytest.mark.parametrize("quadratic", [*PLACEMENTS, "bn,A:relu,bn-relu@level", "bn,A:bn,bn-relu@exit"])
def test_every_placement_of_quadratic_blocks(quadratic: str) -> None:
    assert_is_the_levels(trained("L,C,S,R", quadratic_placement=quadratic, padding="circular"), "circular")


@pytest.mark.parametrize("per", [1, 2, 3])
@pytest.mark.parametrize("placement", [None, "smoother", "no-relu", "relu-outside"])
def test_every_sharing(placement: str | None, per: int) -> None:
    model = trained("L,S,C,L,R", steps_per_A=per, placement=placement, padding="circular")
    assert len(set(model.levels[1].operators)) == -(-5 // per)
    assert_is_the_levels(model, "circular")


@pytest.mark.parametrize("name", ["mgnet-ab", "mgnet-a"])
def test_mgnets(name: str) -> None:
    assert_is_the_levels(trained(name, padding="circular"), "circular")


@pytest.mark.parametrize("blocks", ["L,L", "S,C"])
def test_zero_padding(blocks: str) -> None:
    assert_is_the_levels(trained(blocks, padding="zeros"), "zeros")
    assert_is_the_levels(trained(blocks, padding="zeros", steps_per_A=1, placement="no-relu"), "zeros")


@pytest.mark.parametrize("placement", [None, "A-bn-relu", "relu-outside", "smoother", "relu,relu,relu"])
def test_the_gain_of_relu_is_the_share_of_its_positive_inputs(placement: str | None) -> None:
    """The network is run by torch on the same images, and the shares are taken from what its ReLUs then get."""
    images = torch.randn(7, 3, 5, 4, generator=torch.Generator().manual_seed(3))
    model = trained("L,C", quadratic_placement=placement, padding="circular").train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model(images.double())  # statistics of these images, with which about half of the inputs of a ReLU are positive
    recorded = copy.deepcopy(model).eval()
    with_relus(recorded, lambda _: Recording())
    with torch.no_grad():
        recorded(images.double())
    gains = {
        name: (torch.cat(module.seen) > 0).double().mean(dim=(0, 2, 3))
        for name, module in recorded.named_modules()
        if isinstance(module, Recording)
    }
    result = pr.effective_operator(model, 2, data=images.numpy())
    assert all(module.training for module in model.modules())
    own = {name: gain.numpy() for name, gain in gains.items() if name.startswith("levels.1.")}
    assert result.gains.keys() == own.keys()
    for name, gain in own.items():
        np.testing.assert_allclose(result.gains[name], gain, rtol=1e-15)
    assert any(0 < gain.min() < gain.max() < 1 for gain in own.values())
    assert_is_the_levels(model.eval(), "circular", gains, data=images)


def test_gains_of_a_network_without_its_linear_layer() -> None:
    """The shares of positive inputs don't depend on what follows the level."""
    model, images = trained("L,L", placement="relu,plain,plain"), torch.randn(2, 3, 5, 4)
    expected = pr.effective_operator(model, 1, data=images).gains
    model.reset_classifier(0)
    found = pr.effective_operator(model, 1, data=images).gains
    assert expected
    assert found.keys() == expected.keys()
    for name, gain in found.items():
        np.testing.assert_array_equal(gain, expected[name])


def test_many_images_have_the_mean_of_all() -> None:
    model = trained("C")
    images = torch.randn(300, 3, 5, 4)
    whole = pr.effective_operator(model, 1, data=images).gains
    parts = [pr.effective_operator(model, 1, data=images[a:b]).gains for a, b in pairwise((0, 100, 200, 300))]
    assert len(whole) == 1 + 1  # rho and output
    for name, gain in whole.items():
        np.testing.assert_allclose(gain, np.mean([part[name] for part in parts], axis=0), rtol=1e-12)


@pytest.mark.parametrize("per", [None, 1])
def test_the_nominal_operator_is_the_residual_polynomial(per: int | None) -> None:
    model = trained("L,C,S", padding="circular", steps_per_A=per)
    found = pr.effective_operator(model, 2, nominal=True)
    u = np.zeros((24, 24))
    for A, step in zip(model.levels[1].operators, model.levels[1].steps, strict=True):
        M = A(torch.eye(24).double().reshape(24, 4, 3, 2)).detach().reshape(24, 24).T.numpy()
        p = sum(
            alpha * np.linalg.matrix_power(M, i) for i, alpha in zip(step.powers, step.alphas.tolist(), strict=True)
        )
        u = u + p @ (np.eye(24) - M @ u)
    assert found.norm == pytest.approx(np.linalg.norm(np.eye(24) - M @ u, 2), rel=1e-10)
    if per is None:
        q, Lambda = model.polynomials()[1], pr.eigenvalues(A.weight, (3, 2))
        assert found.radius == pytest.approx(np.abs(q(Lambda.values)).max(), rel=1e-9)
        assert found.norm == pytest.approx(pr.residual_norm(Lambda, q), rel=1e-10)


def test_one_channel_by_hand() -> None:
    """A = 2 I, alpha = .25, rho halves and update triples: the residual is multiplied by 1 - 2 * 3 * .25 * .5."""
    model: Any = pr.models.build("L", channels=(1,), in_channels=1, image_size=4, placement="bn,bn,plain").double()
    (level,) = model.levels
    level.A.weight.data.zero_()[0, 0, 1, 1] = 2
    (step,) = level.blocks
    step.set_alphas([0.25])
    for place, gamma, variance in ((step.rho, 1.0, 4.0), (step.update, 6.0, 4.0)):
        place.eps = 0.0
        place.weight.data.fill_(gamma)
        place.running_var.fill_(variance)
    found = pr.effective_operator(model, 1)
    np.testing.assert_allclose(found.values, np.full(16, 0.25), rtol=1e-14)
    assert (found.radius, found.median, found.norm) == pytest.approx((0.25, 0.25, 0.25), rel=1e-14)
    assert pr.effective_operator(model, 1, nominal=True).radius == pytest.approx(0.5, rel=1e-14)
    assert "norm 0.25 and spectral radius 0.25; half of its 16 eigenvalues are below 0.25 in modulus." in str(found)


def test_a_wrapper_has_the_operator_of_the_network_in_it() -> None:
    model = trained("L,C")
    wrapped = nn.DataParallel(model)
    assert pr.effective_operator(wrapped, 2).norm == pr.effective_operator(model, 2).norm


def test_statistics_of_no_data() -> None:
    fresh: Any = pr.models.build("q4", channels=(4, 8), image_size=8)
    with pytest.raises(pr.InputError, match=r"batch norm levels\.1\.blocks\.0\.rho\.0 still has mean 0"):
        pr.effective_operator(fresh, 2)
    # At the exit batch norm doesn't touch the residual.
    assert pr.effective_operator(pr.models.build("q4", channels=(4,), image_size=8, placement="smoother"), 1).norm > 0
    fresh.levels[0].blocks[0].rho[0] = nn.BatchNorm2d(4, track_running_stats=False)
    with pytest.raises(pr.InputError, match=r"levels\.0\.blocks\.0\.rho\.0 has no running statistics"):
        pr.effective_operator(fresh, 1)
    fresh.levels[0].blocks[0].rho[0] = nn.GroupNorm(2, 4)
    with pytest.raises(pr.InputError, match=r"blocks\.0\.rho\.0: expected batch norm, ReLU or nothing.*a GroupNorm"):
        pr.effective_operator(fresh, 1)


def test_values_that_are_not_finite() -> None:
    model = trained("L,C")
    model.levels[0].blocks[0].rho[0].running_var.fill_(torch.inf)
    assert pr.effective_operator(model, 1).norm > 0  # a channel that is switched off
    model.levels[0].blocks[0].rho[0].running_var.fill_(torch.nan)
    with pytest.raises(pr.InputError, match=r"rho\.0 has weights or statistics that are not finite"):
        pr.effective_operator(model, 1)
    model = trained("L,C", placement="smoother")
    model.levels[0].blocks[0].alphas.data.fill_(1e300)
    model.levels[0].blocks[1].alphas.data.fill_(1e300)
    with pytest.raises(pr.InputError, match="level 1: its operator overflows float64"):
        pr.effective_operator(model, 1)


@pytest.mark.usefixtures("types_unchecked")
def test_inputs_that_it_cannot_use() -> None:
    model: Any = trained("L,C")
    others: Any = [(pr.models.build("resnet20"), "ResNet"), (nn.Conv2d(3, 3, 3), "Conv2d"), ("last.pt", "str")]
    for other, name in others:
        with pytest.raises(pr.InputError, match=f"expected a network with levels from polyroots.models.build.*{name}"):
            pr.effective_operator(other, 1)
    for level in (0, 3, -1):
        with pytest.raises(pr.InputError, match=f"expected a level from 1 to 2, got {level}"):
            pr.effective_operator(model, level)
    with pytest.raises(pr.InputError, match=r"level: expected a whole number, got 1\.5"):
        pr.effective_operator(model, 1.5)  # type: ignore[arg-type]
    with pytest.raises(pr.InputError, match="unknown padding 'zero': did you mean 'zeros'"):
        pr.effective_operator(model, 1, padding="zero")
    with pytest.raises(pr.InputError, match="leave data or nominal out"):
        pr.effective_operator(model, 1, data=torch.zeros(1, 3, 5, 4), nominal=True)
    for images, message in (
        (torch.zeros(3, 5, 4), r"images of shape \(N, 3, 5, 4\), N at least 1, got \(3, 5, 4\)"),
        (torch.zeros(0, 3, 5, 4), "N at least 1"),
        (torch.zeros(2, 1, 5, 4), "N at least 1"),
        (torch.zeros(2, 3, 5, 4, dtype=torch.uint8), "floating-point images, normalised"),
        (torch.full((2, 3, 5, 4), torch.nan), "finite images"),
    ):
        with pytest.raises(pr.InputError, match=message):
            pr.effective_operator(model, 1, data=images)
    large: Any = trained("L", channels=(64,), size=16, placement="smoother")
    with pytest.raises(pr.InputError, match=r"level 1: with zero padding.* 4,096 unknowns, got 16,384.*'circular'"):
        pr.effective_operator(large, 1, padding="zeros")


def test_a_factor_of_inert_coefficients_is_cancelled_as_in_the_network() -> None:
    """With the statistics of the same images the scaled network applies the same, though its roots are other ones."""
    model = trained("S,S", padding="circular")
    images = torch.randn(6, 3, 5, 4, generator=torch.Generator().manual_seed(5)).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum, module.eps = 1.0, 1e-14
    assert len(pr.models.inert_coefficients(model)) == 4
    found = []
    for factor in (1.0, 10.0):
        for step in (step for level in model.levels for step in level.steps):
            step.alphas.data.abs_().mul_(factor)
        model.train()(images)
        found.append((pr.effective_operator(model, 2), pr.effective_operator(model, 2, nominal=True)))
    (once, nominal), (scaled, other) = found
    assert matched_error(once.values, scaled.values) < 1e-9
    assert scaled.norm == pytest.approx(once.norm, rel=1e-9)
    assert other.norm > 5 * nominal.norm
