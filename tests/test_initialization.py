from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import polyroots as pr
from polyroots.initialization.run import InitResult
from polyroots.initialization.sources import InitSource


@pytest.mark.parametrize("name", ["q2", "q4", "q4r", "q6", "q8", "R,C"])
def test_each_level_gets_the_roots_of_its_own_spectrum(name: str) -> None:
    torch.manual_seed(53)
    model: Any = pr.models.build(name, image_size=(16, 12), channels=(4, 8))
    report = pr.initialize(model, relax="none", signs="paper")
    assert [level.size for level in report.levels] == [(16, 12), (8, 6)]
    for level, module in zip(report.levels, model.levels, strict=True):
        Lambda = pr.eigenvalues(module.A.weight, level.size)
        assert level.radius == Lambda.radius
        roots = pr.select_roots(Lambda, blocks=model.config.blocks)
        assert [complex(*z) for block in level.blocks for z in block.roots] == pytest.approx(roots.tolist(), abs=0)
        # The product of the blocks' factors is the polynomial of these roots.
        t = np.array([0.3, -0.2 + 0.4j])
        q = np.ones_like(t)
        for block in module.blocks:
            q = q * (1 - t * sum(a * t**k for k, a in zip(block.powers, block.alphas.tolist(), strict=True)))
        np.testing.assert_allclose(q, pr.ResidualPolynomial(roots)(t), rtol=1e-5)  # float32 coefficients


def test_a_result_without_a_network_makes_no_checkpoint() -> None:
    with pytest.raises(pr.InputError, match=r"there is no network to keep: .* got layers or a matrix, without coef"):
        InitResult(InitSource([], None), None, None).checkpoint()
    failed = InitResult(InitSource([], None), None, None, error=pr.InputError("degree 3 has 4 roots"))
    with pytest.raises(pr.InputError, match=r"there is no network to keep: .* got an error: degree 3 has 4 roots"):
        failed.checkpoint()


def test_other_weights_stay() -> None:
    torch.manual_seed(59)
    model: Any = pr.models.build("q4", image_size=8, channels=(4, 8))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pr.initialize(model, degree=3, strategy="extremal")
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) != key.endswith("alphas")


def test_the_report_is_json() -> None:
    model: Any = pr.models.build("q4", image_size=8, channels=(4,), padding="circular")
    seen: list[Any] = []
    report = pr.initialize(model, on_level=seen.append)
    assert tuple(seen) == report.levels
    document = json.loads(json.dumps(report.to_dict()))
    assert (document["strategy"], document["degree"]) == ("extremal", 3)
    assert (document["padding"], document["network_padding"]) == ("circular", "circular")
    zeros = pr.initialize(pr.models.build("q4", image_size=8, channels=(4,)))
    assert (zeros.padding, zeros.network_padding) == ("circular", "zeros")
    block = document["levels"][0]["blocks"][2]
    assert (block["letter"], block["powers"]) == ("C", [0, 1])
    (re, im), (re2, im2) = block["roots"]
    assert (re, im) == (re2, -im2)
    assert block["alphas"] == pytest.approx([2 * re / (re**2 + im**2), -1 / (re**2 + im**2)])


def test_what_cannot_be_initialised_is_said() -> None:
    small = {"image_size": 8, "channels": (4, 8)}
    with pytest.raises(
        pr.InputError, match="degree 3 does not fit the blocks L,L: they have 2 roots, which is degree 1"
    ):
        pr.initialize(pr.models.build("q2", **small), degree=3)
    with pytest.raises(pr.InputError, match="did you mean 'extremal'"):
        pr.initialize(pr.models.build("q2", **small), strategy="extremall")
    with pytest.raises(pr.InputError, match="which has polynomial blocks to initialise, got a ResNet"):
        pr.initialize(pr.models.build("resnet18"))
    broken: Any = pr.models.build("q4", **small)
    with torch.no_grad():
        broken.levels[1].A.weight[0, 0, 0, 0] = torch.inf
    with pytest.raises(pr.InputError, match=r"levels\.1\.A\.weight: 1 of 576 entries are NaN or infinite"):
        pr.initialize(broken)


def test_a_level_that_fails_leaves_the_network_as_it_was() -> None:
    model: Any = pr.models.build("q4", image_size=8, channels=(4, 8))
    with torch.no_grad():
        model.levels[1].A.weight.zero_()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(pr.InputError, match="level 2: all eigenvalues are zero"):
        pr.initialize(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_coefficients_that_overflow_are_refused() -> None:
    model: Any = pr.models.build("q4", image_size=8, channels=(4, 8))
    with torch.no_grad():
        model.levels[1].A.weight.mul_(1e-22)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(pr.InputError, match=r"of block C are beyond torch.float32: the roots are too near to zero"):
        pr.initialize(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
