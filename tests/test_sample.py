"""Samples of frequencies: their quantiles against the whole spectrum, over many draws."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from numpy.typing import NDArray
from scipy.stats import binom

import polyroots as pr
from polyroots.analysis import Analysis, model_spectra
from polyroots.errors import InputError
from polyroots.spectra import PARTS
from polyroots.spectra.quantiles import Blocks

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
SEVERAL = np.random.default_rng(17).standard_normal((3, 3, 3, 3)) / 5
LEVELS = (0.05, 0.5, 0.9)


def whole(weight: NDArray[Any], size: int | tuple[int, int]) -> tuple[NDArray[Any], pr.SpectrumSample]:
    """Return all eigenvalues by frequency, from the dense symbol, and a sample that has them all."""
    return pr.eigenvalues(weight, size).values, pr.sample_eigenvalues(weight, size, 10**6)


def quantile(scores: NDArray[np.float64], level: float) -> float:
    """Return the smallest number that a share of the scores doesn't exceed."""
    return float(np.sort(scores)[math.ceil(level * len(scores) - 1e-9) - 1])


@pytest.mark.parametrize("size", [8, (7, 5), (6, 1), 2])
def test_a_sample_of_all_frequencies_is_the_spectrum(size: int | tuple[int, int]) -> None:
    values, sample = whole(SEVERAL, size)
    assert sample.is_whole
    assert sample.solved == sample.total == len(values) // 3
    order = np.lexsort((sample.values.imag.round(9), sample.values.real.round(9)))
    expected = np.lexsort((values.imag.round(9), values.real.round(9)))
    np.testing.assert_allclose(sample.values[order], values[expected], atol=1e-12)
    for part, score in PARTS.items():
        for level, found in zip(LEVELS, sample.quantiles(LEVELS, part), strict=True):
            assert found.estimate == found.low == found.high == pytest.approx(quantile(score(values), level), abs=1e-12)
    assert sample.share_error() == 0


@pytest.mark.parametrize(
    ("weight", "size", "count", "part"),
    [(LAPLACIAN, 12, 24, "real"), (SEVERAL, 12, 24, "modulus"), (SEVERAL, (12, 9), 40, "imag")],
)
def test_intervals_hold_the_quantiles_of_the_spectrum(
    weight: NDArray[Any], size: int | tuple[int, int], count: int, part: str
) -> None:
    """Of 80 samples no more miss than a rate of 1 - confidence explains; one channel is the worst case of clusters."""
    draws, confidence = 80, 0.8
    values, all_of_it = whole(weight, size)
    truth = [quantile(PARTS[part](values), level) for level in LEVELS]
    missed, widths = np.zeros(len(LEVELS)), []
    for seed in range(draws):
        chosen = np.random.default_rng(seed).permutation(len(all_of_it.drawn))[:count]
        sample = pr.SpectrumSample(
            all_of_it.drawn[chosen], all_of_it.alone, all_of_it.chosen[chosen], all_of_it.convolution
        )
        found = sample.quantiles(LEVELS, part, confidence)
        missed += [not one.low - 1e-9 <= true <= one.high + 1e-9 for one, true in zip(found, truth, strict=True)]
        widths.append(np.mean((PARTS[part](values) >= found[1].low) & (PARTS[part](values) <= found[1].high)))
    assert missed.max() <= binom.ppf(0.999, draws, 1 - confidence)
    # The intervals say something: at the median they are narrower than Hoeffding's.
    assert np.median(widths) < 2 * math.sqrt(math.log(2 / (1 - confidence)) / (2 * count))


def test_intervals_miss_where_the_draw_is_not_random() -> None:
    """The count of misses above would show intervals that are too narrow: those of the lowest frequencies miss."""
    values, sample = whole(LAPLACIAN, 12)
    lowest = np.argsort(abs(sample.drawn[:, 0]))[:24]
    drawn = pr.SpectrumSample(sample.drawn[lowest], sample.alone, sample.chosen[lowest], sample.convolution)
    (median,) = drawn.quantiles([0.5], "real")
    assert median.high < quantile(values.real, 0.5)


def test_the_share_in_a_region_is_known_to_serflings_error() -> None:
    values, sample = whole(LAPLACIAN, 12)
    inside = (values.real < 3).mean()
    draws, count, missed = 200, 30, 0
    for seed in range(draws):
        chosen = np.random.default_rng(seed).permutation(len(sample.drawn))[:count]
        drawn = pr.SpectrumSample(sample.drawn[chosen], sample.alone, sample.chosen[chosen], sample.convolution)
        of_pairs = (drawn.drawn.real < 3).mean()
        share = (2 * sample.pairs * of_pairs + (sample.alone.real < 3).sum()) / sample.total
        missed += abs(share - inside) > drawn.share_error(0.8)
    assert 0 < missed <= binom.ppf(0.999, draws, 0.2)


def test_values_have_their_frequencies() -> None:
    sample = pr.sample_eigenvalues(LAPLACIAN, (10, 9), 12, seed=3)
    assert (len(sample), sample.solved) == (26, 26)
    expected = 4 - 2 * np.cos(sample.frequencies).sum(axis=1)
    np.testing.assert_allclose(sample.values, expected, atol=1e-13)
    assert len(np.unique(sample.frequencies, axis=0)) == 26
    other = pr.sample_eigenvalues(LAPLACIAN, (10, 9), 12, seed=4)
    assert set(other.chosen) != set(sample.chosen)


def test_what_a_sample_cannot_be() -> None:
    with pytest.raises(InputError, match="expected at least one frequency to draw, got 0"):
        pr.sample_eigenvalues(LAPLACIAN, 8, 0)
    sample = pr.sample_eigenvalues(LAPLACIAN, 8, 3)
    for level in (1.5, 0.0, 1.0):
        with pytest.raises(InputError, match=f"expected levels between 0 and 1 of quantiles, got {level}"):
            sample.quantiles([0.5, level])
    with pytest.raises(InputError, match="expected a confidence between 0 and 1, got 95"):
        sample.quantiles([0.5], confidence=95.0)
    with pytest.raises(InputError, match=r"unknown part 'phase'"):
        sample.quantiles([0.5], "phase")
    with pytest.raises(InputError, match="leave the sample or padding out"):
        Analysis("zeros", sample=3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "net.pt"
    torch.save({"small.weight": torch.tensor(SEVERAL), "one.weight": torch.ones(2, 2, 1, 1)}, path)
    return path


def test_the_command_says_how_much_is_known(checkpoint: Path, tmp_path: Path) -> None:
    npz, table = tmp_path / "values.npz", tmp_path / "values.csv"
    words = ("spectrum", checkpoint, "--size", 12, "--sample", 20)
    small, one = json.loads(run(*words, "--json", "--save", npz, "--csv", table).stdout)["layers"]
    sample = pr.sample_eigenvalues(torch.tensor(SEVERAL), 12, 20)
    assert small["sample"]["frequencies"] == 44
    assert small["sample"]["of"] == 144
    assert small["eigenvalues"] is None
    assert small["radius"] == sample.radius
    levels = [quantile["level"] for quantile in small["sample"]["quantiles"]["real"]]
    expected = [quantile._asdict() for quantile in sample.quantiles(levels, "real")]
    ends = [{key: value if math.isfinite(value) else None for key, value in one.items()} for one in expected]
    assert small["sample"]["quantiles"]["real"] == ends
    # A 1x1 kernel has one frequency, and so all eigenvalues.
    assert (one["eigenvalues"], "sample" in one) == (288, False)
    saved = pr.load_results(npz)["small.weight"].sample
    assert saved is not None
    np.testing.assert_array_equal(saved.values, sample.values)
    with table.open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["layer"] == "small.weight"]
    assert (len(rows), {row["kind"] for row in rows}) == (132, {"sample"})
    printed = run(*words).stdout
    assert "sample of 432" in printed
    assert "small.weight: 44 of 144 frequencies: the spectrum may reach further" in printed
    assert "with a confidence of 95%" in printed
    line = fails(*words, "--kind", "both", exit_code=2)
    assert line.endswith("leave the sample or kind out (--sample, --kind)")


def test_a_model_is_sampled_and_drawn(checkpoint: Path, tmp_path: Path) -> None:
    found = model_spectra(torch.nn.Conv2d(3, 3, 3, padding=1), 12, sample=9)
    assert "sample of 432" in str(found)
    assert found["weight"].ends is found["weight"].sample
    run("spectrum", checkpoint, "--size", 12, "--sample", 9, "--layer", "small", "--plot", tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"small.weight.png", "overview.png"}


def test_stakes_follow_their_rule_and_never_lose_everything() -> None:
    """Waudby-Smith and Ramdas' sqrt(2 log(1 / risk) / (N variance)); a bet loses its stake times the mean at most."""
    count, pairs, risk = 400, 5000, 0.025
    blocks = Blocks(np.random.default_rng(7).random((count, 1)), np.array([]), 0, 2 * pairs)
    # Half of the scores are up to the median: the variance of shares is 1/4, which the first bet takes as well.
    variance = 0.25
    expected = math.sqrt(2 * math.log(1 / risk) / (count * variance))
    np.testing.assert_allclose(blocks._stakes(0.5, risk)[[0, -1]], expected, rtol=1e-12)
    few = Blocks(np.sort(np.random.default_rng(8).random((4, 3)), axis=1), np.array([]), 0, 2 * pairs)
    for level in (0.5, 0.9, 0.999):
        # The shares of the pairs that are left have this mean if those drawn before have none.
        means = np.minimum(level * pairs / (pairs - np.arange(4)), 1.0)
        assert (few._stakes(level, 1e-9) * means).max() < 1
