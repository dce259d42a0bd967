"""Statistics of batch norm over a number of batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pairs import COMMAND, Pair
from small_runs import columns, small, state_of
from torch import Tensor, nn

import polyroots as pr
from polyroots.training import evaluate_checkpoint, open_data, train
from polyroots.training.data.batches import epoch_order
from polyroots.training.data.normalisation import Normalisation
from polyroots.training.loop.recalibration import recalibrate


def require_statistics_of_stem(path: Path, chosen: Tensor, limit: int) -> None:
    """Require that the first batch norm has the statistics of the convolved training images that are chosen."""
    train_images = open_data("digits").load(limit).train
    images = Normalisation.of(train_images)(train_images.take(chosen)[0])
    model = pr.load_checkpoint(path).model()
    convolution, norm = (
        next(m for m in model.modules() if isinstance(m, kind)) for kind in (nn.Conv2d, nn.BatchNorm2d)
    )
    with torch.no_grad():
        features: Tensor = convolution(images)
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, features.var((0, 2, 3)), rtol=1e-4, atol=1e-6)


def test_statistics_are_those_of_all_images() -> None:
    """The first layer reads the images themselves, so its statistics are exactly those of all images."""
    generator = torch.Generator().manual_seed(5)
    images = 40 + 3 * torch.randn(30, 2, 5, 4, generator=generator, dtype=torch.float64)
    first, second = nn.BatchNorm2d(2), nn.BatchNorm2d(2, momentum=None)
    model = nn.Sequential(first, nn.ReLU(inplace=True), second).double().eval()
    recalibrate(model, images.split([7, 7, 16]))
    torch.testing.assert_close(first.running_mean, images.mean((0, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(first.running_var, images.var((0, 2, 3)), rtol=1e-12, atol=0)
    # The second one reads what is normalised by each batch's own statistics.
    seen = torch.cat([nn.functional.batch_norm(b, None, None, training=True).relu() for b in images.split([7, 7, 16])])
    torch.testing.assert_close(second.running_mean, seen.mean((0, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(second.running_var, seen.var((0, 2, 3)), rtol=1e-12, atol=0)
    assert not model.training
    assert (first.momentum, second.momentum) == (0.1, None)
    assert [int(count) for name, count in model.named_buffers() if "tracked" in name] == [0, 0]


class First(nn.Sequential):
    """The first of some layers, beside others that are left out."""

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self[0](inputs)
        return outputs


def test_statistics_of_vectors_and_of_layers_without_any() -> None:
    """`fit` trains networks of vectors and of sequences; a layer that reads nothing keeps its statistics."""
    generator = torch.Generator().manual_seed(7)
    for shape in ((20, 3), (20, 3, 4)):
        values = 2 + torch.randn(shape, generator=generator, dtype=torch.float64)
        norm, left_out = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
        recalibrate(First(norm, left_out).double(), values.split([8, 12]))
        of_channels = values.transpose(0, 1).flatten(1)
        torch.testing.assert_close(norm.running_mean, of_channels.mean(1), rtol=1e-12, atol=0)
        torch.testing.assert_close(norm.running_var, of_channels.var(1), rtol=1e-12, atol=0)
        torch.testing.assert_close(left_out.running_mean, torch.zeros(3, dtype=torch.float64), rtol=0, atol=0)
        torch.testing.assert_close(left_out.running_var, torch.ones(3, dtype=torch.float64), rtol=0, atol=0)


def test_training_stays_and_checkpoints_have_what_was_evaluated(tmp_path: Path) -> None:
    source = open_data("digits")
    options: dict[str, Any] = {"limit": 60, "epochs": 3, "seed": 11}
    train(small(source, **options), source, tmp_path / "plain")
    result = train(small(source, bn_recalibrate=2, **options), source, tmp_path / "exact")
    plain, exact = (state_of(tmp_path / run / "last.pt") for run in ("plain", "exact"))
    differing = {name for name in plain if not torch.equal(plain[name], exact[name])}
    assert differing
    assert all(name.endswith(("running_mean", "running_var")) for name in differing)
    for name in ("train_loss", "train_accuracy"):
        assert [row[name] for row in columns(tmp_path / "plain")] == [row[name] for row in columns(tmp_path / "exact")]
    scores, _ = evaluate_checkpoint(pr.load_checkpoint(tmp_path / "exact" / "last.pt"), limit=60, device="cpu")
    assert scores.accuracy == result.last_accuracy

    require_statistics_of_stem(tmp_path / "exact" / "last.pt", epoch_order(11, 3, 60)[:32], 60)


@pytest.mark.slow
@pytest.mark.xdist_group("forked")
def test_two_processes_take_the_statistics_of_all_their_images(tmp_path: Path) -> None:
    """Of the stem, whose input doesn't depend on the batch norm of a process."""
    words = [*COMMAND, "--model", "q2", "--limit", "40", "--epochs", "1", "--bn-recalibrate", "2", "--out"]
    Pair(tmp_path / "1", *words, tmp_path / "two").must_succeed()
    document = json.loads((tmp_path / "two" / "config.json").read_text())["config"]
    assert document["bn_recalibrate"] == 2
    chosen = epoch_order(document["seed"], 1, 40)[:20]
    require_statistics_of_stem(tmp_path / "two" / "last.pt", chosen, 40)
