from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import polyroots as pr
from polyroots.models import NAMES, ModelConfig, convolutions, count_weights, model_config, trace_convolutions
from polyroots.models.registry import default_channels, scaled_width


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("q2", 1_385_554),
        ("q4", 1_388_378),
        ("q4r", 1_385_554),
        ("q6", 1_388_378),
        ("q8", 1_391_198),
        ("mgnet-ab", 2_749_514),
        ("mgnet-a", 4_113_482),
        # Each level but the first has a second A for its second step; the first level's first step reads f without A.
        ("mgnet", 4_113_482 + 9 * (128**2 + 2 * 256**2)),
        ("mgnet-hx", 8_278_794),
        ("resnet18", 11_173_962),
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
    ],
)
def test_weights_are_counted(name: str, weights: int) -> None:
    with torch.device("meta"):
        assert count_weights(pr.models.build(name)) == weights
    assert pr.models.cost(model_config(name)).weights == weights


@pytest.mark.parametrize("name", [*NAMES, "R,C", "C,L"])
@pytest.mark.parametrize(
    ("size", "channels", "classes"),
    [(8, 1, 10), ((28, 28), 1, 10), (32, 3, 100), ((64, 64), 3, 200), ((32, 48), 3, 7), (3, 2, 2)],
)
@pytest.mark.slow
def test_networks_for_other_images(name: str, size: int | tuple[int, int], channels: int, classes: int) -> None:
    with torch.device("meta"):
        model: Any = pr.models.build(name, image_size=size, in_channels=channels, num_classes=classes)
        H, W = (size, size) if isinstance(size, int) else size
        assert model(torch.empty(4, channels, H, W)).shape == (4, classes)


def test_coefficients_are_neutral_until_they_are_set() -> None:
    model: Any = pr.models.build("L,R,S,C", channels=(2,))
    assert [block.alphas.tolist() for block in model.levels[0].blocks] == [[1], [1, 0], [1], [1, 0]]


def test_levels_follow_from_the_image_size() -> None:
    assert default_channels("q2", (32, 32)) == (64, 128, 256, 256)
    assert default_channels("q4", (28, 28)) == (64, 128, 256, 256)
    assert default_channels("mgnet-ab", (64, 64)) == (64, 128, 256, 256, 256)
    assert default_channels("L,C", (8, 8)) == (32, 64)
    assert default_channels("q2", (15, 40)) == (32, 64, 128)
    assert default_channels("q2", (16, 16)) == (64, 128, 256)
    assert default_channels("q2", (4, 4)) == (32,)
    assert default_channels("mgnet-hx", (32, 32)) == (256,) * 4
    assert default_channels("resnet44", (32, 32)) == (16, 32, 64)
    config = model_config("q4", image_size=28)
    assert config.sizes == ((28, 28), (14, 14), (7, 7), (4, 4))


def test_one_factor_scales_all_channels() -> None:
    """w = floor(64 s), and the others are multiples of w; 90, 181, 362, each rounded by itself, would not be."""
    assert default_channels("q2", (32, 32), 2**0.5) == (90, 180, 360, 360)
    assert default_channels("q2", (32, 32), 8**0.5) == (181, 362, 724, 724)
    assert default_channels("mgnet-ab", (32, 32), 2**-0.5) == (45, 90, 180, 180)
    assert default_channels("resnet18", (32, 32), 8**-0.5) == (22, 44, 88, 176)
    assert default_channels("mgnet-hx", (32, 32), 0.5) == (128,) * 4
    assert model_config("q2", scale=0.5).channels == (32, 64, 128, 128)
    for width in range(1, 65):
        assert scaled_width(64, width / 64) == width
        assert scaled_width(width, 1 / width) == 1


def test_a_state_dict_names_every_convolution_once() -> None:
    shared = set(pr.models.build("mgnet-ab", channels=(2, 4)).state_dict())
    unshared = set(pr.models.build("mgnet", channels=(2, 4)).state_dict())
    assert {"levels.0.A.weight", "levels.0.B.weight"} <= shared
    assert {"levels.0.A.weight", "levels.0.B.1.weight", "levels.1.A.1.weight", "levels.1.B.0.weight"} <= unshared
    network: Any = pr.models.build("L,L,L,L,L", channels=(2,), steps_per_A=2)
    groups = network.levels[0]
    A = groups.operators
    # Only the first level's first step, which reads f, needs no A of its own.
    for name, count in (("q2", 1), ("S,S", 2), ("C,L", 2), ("L,C,L", 2), ("mgnet", 1)):
        network = pr.models.build(name, channels=(2, 4), steps_per_A=1)
        first, second = network.levels
        steps = len(first.blocks)
        assert (len(set(first.operators)), len(set(second.operators))) == (count, steps), name
    assert [A[0] is A[1], A[1] is A[2], A[2] is A[3], A[3] is A[4]] == [True, False, True, False]
    assert len(groups.A) == 3


def test_every_weight_has_an_effect() -> None:
    """Every parameter has a gradient, so no weight is unused."""
    options: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in (*NAMES, "R,C,S,L")]
    options += [(name, {"steps_per_A": 1}) for name in ("q2", "q4", "q4r", "mgnet-ab")]
    for name, config in options:
        torch.manual_seed(3)
        model: Any = pr.models.build(name, image_size=8, scale=1 / 16, **config)
        model(torch.randn(4, 3, 8, 8)).square().sum().backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, (name, key)
            # The shift of a batch norm may be cancelled by the next one.
            assert parameter.grad.any() or key.endswith("bias"), (name, key)


def test_one_linear_block_a_level_never_needs_the_last_A() -> None:
    """The last level reads f' - A' Pi u = R relu(r), which doesn't depend on A', and its residual isn't used."""
    model: Any = pr.models.build("L", image_size=8, channels=(4, 8))
    model(torch.randn(4, 3, 8, 8)).sum().backward()
    assert model.levels[0].A.weight.grad is not None
    assert model.levels[1].A.weight.grad is None


def test_the_cost_of_an_image_of_one_pixel() -> None:
    """Costs are those of evaluation, as batch norm can't estimate a variance from one pixel."""
    assert pr.models.cost("q2", image_size=1).applications == 1


@pytest.mark.parametrize("name", ["q4", "q6", "mgnet-ab", "resnet20"])
def test_the_cost_is_what_torch_counts(name: str) -> None:
    """Torch counts the operations on the meta device, two for a multiplication and an addition; grids are odd here."""
    config = model_config(name, image_size=(15, 9), scale=1 / 8)
    with torch.device("meta"):
        model: Any = pr.models.build(config).eval()
        image = torch.empty(1, 3, 15, 9)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    assert pr.models.cost(config).multiply_adds == counter.get_total_flops() // 2
    assert convolutions(config) == [conv for conv, _, _ in trace_convolutions(model, image)[0]]


def test_an_incomplete_configuration_is_refused() -> None:
    fields: dict[str, Any] = {
        "name": "mgnet",
        "image_size": (8, 8),
        "in_channels": 1,
        "num_classes": 2,
        "channels": (4,),
        "steps": 2,
    }
    with pytest.raises(ValueError, match="needs the number of steps that share an A"):
        ModelConfig(**fields)
    assert pr.models.build(ModelConfig(**fields, steps_per_A=1)).config.steps_per_A == 1


def test_resnet18_with_pool_halves_the_image() -> None:
    with_pool = convolutions(model_config("resnet18", max_pool=True))
    without = convolutions(model_config("resnet18"))
    assert [conv.size for conv in with_pool[:2]] == [(32, 32), (16, 16)]
    assert [conv.size for conv in without[:2]] == [(32, 32), (32, 32)]
    assert convolutions(model_config("resnet18", image_size=8))[-1].size == (1, 1)


def test_convolutions_know_their_geometry() -> None:
    config = model_config("q2", image_size=(32, 20))
    found = {conv.name: conv for conv in convolutions(config)}
    # The spectra are computed on the grids of a forward pass.
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
        ("q3", {}, "unknown model 'q3': expected q2, q4, q4r, q6, q8, mgnet-ab, mgnet-a, mgnet, mgnet-hx, resnet18"),
        ("resnet81", {}, "did you mean 'resnet18'"),
        ("L,Q", {}, "unknown block 'Q'"),
        ("q4", {"channels": (8, 12)}, "multiple of the level's before, got 8,12"),
        ("q4", {"channels": ()}, "at least one level"),
        ("q4", {"channels": (0,)}, "channels"),
        ("q4", {"image_size": 0}, "image_size"),
        ("q4", {"num_classes": -1}, "num_classes: input should be greater than 0, got -1"),
        ("q4", {"padding": "reflect"}, "padding: input should be 'zeros' or 'circular', got 'reflect'"),
        ("q4", {"max_pool": True}, "max_pool is no option of q4"),
        ("resnet20", {"max_pool": True}, "max_pool is an option of resnet18 alone"),
        ("q4", {"steps": 3}, "steps is no option of q4, got 3; leave it out"),
        ("q4", {"steps_per_A": 0}, "steps_per_A: input should be greater than 0"),
        ("q4", {"scale": 0.001}, r"a scale of 0\.001 leaves no channel of 64"),
        ("q4", {"scale": -1.0}, "positive number of at most"),
        ("q4", {"scale": 2.0, "channels": (8, 8)}, "both decide the channels"),
        ("q4", {"A_init": "xavier"}, "A_init: input should be 'kaiming' or 'shifted'"),
        ("q4", {"alphas": "frozen"}, "alphas: input should be 'trained' or 'fixed'"),
        ("q4", {"placement": "outsid"}, "did you mean 'outside'"),
        ("q4", {"placement": "bn,bn"}, "expected three places"),
        ("q4", {"placement": "bn,gelu,plain"}, "unknown place 'gelu'"),
        ("q4", {"placement": "bn,bn,relu@end"}, "unknown '@end'"),
        ("q4", {"placement": "A-bn"}, "block L has a single term"),
        ("q2", {"quadratic_placement": "A-bn"}, "needs a block R or C, got L,L"),
        ("q4", {"placement": "smoother", "quadratic_placement": "relu-outside"}, "ask for different outputs"),
        ("mgnet-ab", {"placement": "A-bn"}, "mgnet-ab has no A-term"),
        ("mgnet-ab", {"quadratic_placement": "outside"}, "quadratic_placement is no option of mgnet-ab"),
        ("mgnet-ab", {"alphas": "fixed"}, "alphas is no option of mgnet-ab"),
        ("resnet18", {"placement": "outside"}, "placement is no option of resnet18"),
        ("resnet20", {"channels": (32, 16, 64)}, "can't lose channels"),
        ("q4", {"width": 3}, "unknown option of a network 'width': expected name, image_size"),
        ("q4", {"a_init": "shifted"}, "did you mean 'A_init'"),
        ("q4", {"channels": 8}, r"channels: expected those of each level such as \(64, 128\), got 8"),
        ("q4", {"channels": (10**6,)}, r"channels\.0: input should be less than or equal to 65536"),
        ("q4", {"channels": (65536,) * 4}, "takes more memory than there is; choose fewer channels"),
        ("mgnet", {"steps": 10**9}, "steps: input should be less than or equal to 10000"),
        ("LLC", {}, "blocks are separated by commas, as in L,L,C"),
        ("q4", {"channels": "48"}, "channels: expected those of each level"),
        ("q4", {"image_size": "32"}, "image_size: expected a whole number or a pair"),
        ("q4", {"image_size": 8.7}, "image_size: expected a whole number or a pair"),
        ("q4", {"image_size": ()}, "image_size: expected a whole number or a pair"),
        ("q4", {"scale": 1e308}, "positive number of at most"),
        (["L", "C"], {}, "expected the name of a network or blocks such as 'L,L,C'"),
        ("resnet18", {"channels": (32, 64, 128)}, "resnet18 has 4 stages, got channels for 3"),
        ("resnet18", {"padding": "circular"}, "padding is no option of resnet18"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_bad_configurations_are_one_sentence(name: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message) as caught:
        pr.models.build(name, **options)
    assert "\n" not in str(caught.value)
