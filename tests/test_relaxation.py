"""Roots moved along their rays: q_w(t) = q(w t), and the largest w that meets a bound."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import fails, run
from dense import dense_operator
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import polyroots as pr
from polyroots.polynomials import SymmetricPair, Target, factors_from_roots
from polyroots.polynomials.operator_norm import OperatorNorm
from polyroots.roots import BOUND, Relaxation, RootChoice, largest_weight

WEIGHTS = st.floats(0.01, 8.0)


@st.composite
def block_roots(draw: st.DrawFn) -> tuple[str, list[complex]]:
    """A block sequence, and roots that it can hold."""
    blocks = draw(st.lists(st.sampled_from("LRSC"), min_size=1, max_size=4))
    sizes = st.floats(0.2, 5)
    roots: list[complex] = []
    for letter in blocks:
        a, b = draw(sizes) * draw(st.sampled_from([-1, 1])), draw(sizes)
        own: dict[str, list[complex]] = {
            "L": [a],
            "R": [a, b],
            "S": [abs(a), -abs(a)],
            "C": [complex(a, b), complex(a, -b)],
        }
        roots += own[letter]
    return ",".join(blocks), [complex(root) for root in roots]


def sorted_roots(roots: Any) -> NDArray[np.complexfloating]:
    return np.sort_complex(np.round(np.asarray(roots, dtype=np.complex128), 10))


@settings(deadline=None)
@given(block_roots(), WEIGHTS)
def test_the_roots_move_along_their_rays(case: tuple[str, list[complex]], w: float) -> None:
    _, roots = case
    q = pr.ResidualPolynomial(roots)
    relaxed = q.relaxed(w)
    np.testing.assert_allclose(sorted_roots(relaxed.roots * w), sorted_roots(roots), rtol=1e-8, atol=1e-9)
    t = np.array([0, 0.3, -1.2, 0.4 + 0.9j, 2j])
    np.testing.assert_allclose(relaxed(t), q(w * t), rtol=1e-9, atol=1e-9 * abs(q(w * t)).max())
    np.testing.assert_allclose(relaxed.alphas, q.alphas * w ** np.arange(1, len(roots) + 1), rtol=1e-6, atol=1e-9)


@settings(deadline=None)
@given(block_roots())
def test_the_weight_1_is_the_identity(case: tuple[str, list[complex]]) -> None:
    q = pr.ResidualPolynomial(case[1])
    np.testing.assert_array_equal(q.relaxed(1).roots, q.roots)


@settings(deadline=None)
@given(block_roots(), WEIGHTS)
def test_blocks_keep_their_structure_and_their_coefficients_are_weighted(
    case: tuple[str, list[complex]], w: float
) -> None:
    blocks, roots = case
    choice = RootChoice(np.array(roots), tuple(blocks.split(",")), "given", ())
    relaxed = choice.relaxed(Relaxation.parse(w), Target.of(np.array([1.0, 2.0])))
    assert relaxed.relaxation == w
    before = factors_from_roots(blocks, roots)
    after = factors_from_roots(blocks, relaxed.roots.tolist())
    for one, other in zip(before, after, strict=True):
        assert type(one) is type(other)
        expected = [alpha * w ** (power + 1) for power, alpha in zip(one.powers, one.coefficients, strict=True)]
        assert other.coefficients == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("w", [0, -0.5, float("nan"), float("inf")])
def test_a_weight_is_positive(w: float) -> None:
    with pytest.raises(pr.InputError, match="expected a positive weight of relaxation"):
        pr.ResidualPolynomial([1]).relaxed(w)


def partial_norms(A: NDArray[Any], blocks: str, roots: Any) -> list[float]:
    """Spectral norms of prod_{i <= k} (I - A / lambda_i) after each block, from the dense matrix."""
    sizes = {"L": 1, "R": 2, "S": 2, "C": 2}
    product, norms, start = np.eye(len(A), dtype=complex), [], 0
    for letter in blocks.split(","):
        for root in roots[start : start + sizes[letter]]:
            product = product @ (np.eye(len(A)) - A / root)
        start += sizes[letter]
        norms.append(float(np.linalg.norm(product, 2)))
    return norms


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("blocks", ["L,L,C", "S,S,C", "C,C", "R,L"])
@pytest.mark.parametrize("bound", [BOUND, 1.5])
def test_auto_is_the_largest_weight_that_meets_the_bound(blocks: str, padding: str, bound: float) -> None:
    """Measured with the dense matrix, far from normal; a slightly larger w exceeds the bound."""
    K = np.random.default_rng(5).standard_normal((3, 3, 3, 3)) / 5
    Lambda = pr.eigenvalues(K, (4, 5), padding=padding)
    A = dense_operator(K, (4, 5), padding=padding)
    roots = pr.select_roots(Lambda, blocks=blocks)
    assert max(partial_norms(A, blocks, roots)) > bound, "there is something to relax"
    relaxed = pr.select_roots(Lambda, blocks=blocks, relax=f"auto:{bound}")
    w = (roots / relaxed).real
    np.testing.assert_allclose(w, w[0], rtol=1e-9)
    assert 0 < w[0] < 1
    assert max(partial_norms(A, blocks, relaxed)) <= bound * (1 + 1e-9)
    assert max(partial_norms(A, blocks, roots / (w[0] * 1.0002))) > bound


def wide_kernel(kind: str) -> NDArray[np.float64]:
    """A kernel with so many channels that single precision decides at most frequencies."""
    rng, c = np.random.default_rng(11), 40
    K = rng.standard_normal((c, c, 3, 3)) / (3 * np.sqrt(c))
    if kind == "equal":  # all frequencies have the same symbol, which is orthogonal
        return np.linalg.qr(K[:, :, 0, 0])[0][:, :, None, None]
    if kind == "one":  # one frequency is far larger than the others
        return K + 5 * np.ones((3, 3)) * np.outer(rng.standard_normal(c), np.ones(c))[:, :, None, None] / c
    return 1e150 * K if kind == "huge" else K


def by_frequency(K: NDArray[np.float64], size: tuple[int, int]) -> list[NDArray[np.complex128]]:
    """The symbol at all frequencies, from its definition."""
    H, W = size
    offsets = [np.arange(k) - (k - 1) // 2 for k in K.shape[2:]]
    return [
        np.einsum("ijyx,y,x", K, np.exp(2j * np.pi * y / H * offsets[0]), np.exp(2j * np.pi * x / W * offsets[1]))
        for y in range(H)
        for x in range(W)
    ]


@pytest.mark.parametrize("kind", ["random", "equal", "one", "huge"])
@pytest.mark.parametrize("blocks", ["L,L", "S,L,C"])
def test_many_channels_have_the_norms_of_their_symbol(kind: str, blocks: str) -> None:
    """Of q(A), to all digits, and of the partial products at the largest weight, with a bound that few exceed."""
    K, size = wide_kernel(kind), (6, 5)
    symbols = by_frequency(K, size)
    Lambda = pr.eigenvalues(K, size)
    roots = pr.select_roots(Lambda, blocks=blocks)
    all_norms = np.array([partial_norms(A, blocks, roots) for A in symbols])
    assert pr.residual_norm(Lambda, pr.ResidualPolynomial(roots)) == pytest.approx(all_norms[:, -1].max(), rel=1e-12)
    for bound in (1.3, 0.98 * all_norms.max()):
        relaxed = pr.select_roots(Lambda, blocks=blocks, relax=f"auto:{bound:.17g}")
        w = (roots / relaxed).real[0]
        largest = [max(max(partial_norms(A, blocks, roots / (w * more))) for A in symbols) for more in (1, 1.0002)]
        assert largest[0] <= bound * (1 + 1e-12) < largest[1]


def test_norms_beyond_single_precision() -> None:
    """The coefficients of q are so large that its value in single precision has no digits."""
    K, size = wide_kernel("random"), (4, 4)
    q = pr.ResidualPolynomial([1e-3, -1.5e-3, 2e-3, 1e4])
    exact = max(partial_norms(A, "L,L,L,L", q.roots)[-1] for A in by_frequency(K, size))
    assert pr.residual_norm(pr.Convolution.of(K, size), q) == pytest.approx(exact, rel=1e-12)
    # Roots at two eigenvalues of a multiple of the identity: q(A) is zero up to rounding.
    eye = 0.3 * np.eye(40)[:, :, None, None]
    assert pr.residual_norm(pr.Convolution.of(eye, size), pr.ResidualPolynomial([0.3, 0.3])) < 1e-15


@settings(deadline=None, max_examples=30)
@given(block_roots(), st.integers(0, 10**6))
def test_bare_eigenvalues_bound_the_partial_products_on_the_spectrum(
    case: tuple[str, list[complex]], seed: int
) -> None:
    blocks, roots = case
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, 40) + 1j * rng.uniform(-1, 1, 40)
    values = np.concatenate([values, values.conj()])

    def largest(w: float) -> float:
        product, found = np.ones_like(values), 0.0
        for factor in factors_from_roots(blocks, roots):
            product = product * np.prod([1 - w * values / root for root in factor.roots], axis=0)
            found = max(found, float(abs(product).max()))
        return found

    w = largest_weight(Target.of(values), factors_from_roots(blocks, roots))
    assert 0 < w <= 1
    assert largest(w) <= BOUND * (1 + 1e-9)
    assert w == 1 or largest(w * 1.0002) > BOUND


def test_a_good_smoother_is_left_alone() -> None:
    """On a shifted A minimax damps everything, and so do all its partial products: w = 1."""
    torch.manual_seed(83)
    options: Any = {"image_size": 8, "channels": (4, 8), "A_init": "shifted"}
    model = pr.models.build("C,C", **options)
    report = pr.initialize(model, strategy="minimax", relax="auto")
    assert [level.relaxation for level in report.levels] == [1, 1]
    assert report.relax == "auto"


@pytest.mark.parametrize("bound", [1.0, 0.5, np.nan])
def test_a_bound_that_no_weight_meets_is_said(bound: float) -> None:
    """q_w tends to 1 with w, so that what amplifies anything stays above 1."""
    factors = factors_from_roots("L", [1])
    with pytest.raises(pr.InputError, match="expected a bound above 1 for what q may amplify"):
        largest_weight(Target.of(np.array([-1.0, 1.0])), factors, bound)


def test_a_known_weight() -> None:
    """1 - w t / 1 on [-1, 1] amplifies 1 + w times: w = 0.1 for the bound 1.1. The first block decides, not q."""
    values = np.linspace(-1, 1, 41)

    def weight(blocks: str, roots: list[complex]) -> float:
        return largest_weight(Target.of(values), factors_from_roots(blocks, roots), 1.1)

    assert weight("L", [1]) == pytest.approx(0.1, rel=2e-4)
    assert weight("L,L", [1, -1]) == pytest.approx(0.1, rel=2e-4)
    # As one symmetric pair 1 - w^2 t^2 amplifies nothing.
    assert weight("S", [1, -1]) == 1


def test_the_norm_counts_where_the_spectrum_does_not() -> None:
    """A is far from normal: |q| on its only eigenvalue, 1, is 1 - w, but the norm is not."""
    K = np.array([[1.0, 8.0], [0.0, 1.0]]).reshape(2, 2, 1, 1)
    Lambda = pr.eigenvalues(K, 4)
    (factor,) = factors_from_roots("L", [1.0])
    assert largest_weight(Target.of(Lambda), [factor], criterion="spectrum") == 1
    w = largest_weight(Target.of(Lambda), [factor])
    assert np.linalg.norm(np.eye(2) - w * K[:, :, 0, 0], 2) == pytest.approx(BOUND, rel=1e-4)


@pytest.mark.parametrize("name", ["q4", "q6"])
def test_initialize_relaxes_every_operator_by_itself(name: str) -> None:
    torch.manual_seed(3)
    model: Any = pr.models.build(name, image_size=8, channels=(4, 8))
    paper = pr.initialize(model, relax="none")
    report = pr.initialize(model, relax="auto")
    for before, after, (A, steps) in zip(paper.levels, report.levels, model.groups, strict=True):
        w = after.relaxation
        assert 0 < w < 1
        assert (before.relaxation, before.unrelaxed_norm) == (1, before.diagnosis.norm)
        assert after.unrelaxed_norm == pytest.approx(before.diagnosis.norm, rel=1e-9)
        for first, second, step in zip(before.blocks, after.blocks, steps, strict=True):
            expected = [alpha * w ** (power + 1) for power, alpha in zip(first.powers, first.alphas, strict=True)]
            assert second.alphas == pytest.approx(expected, rel=1e-9)
            assert step.alphas.tolist() == pytest.approx(expected, rel=1e-6)
        roots = [complex(*root) for block in after.blocks for root in block.roots]
        dense = dense_operator(A.weight.detach().double().numpy(), after.size)
        assert max(partial_norms(dense, ",".join(model.config.blocks), roots)) <= BOUND * (1 + 1e-9)
    assert pr.initialize(model, relax=0.25).levels[0].relaxation == 0.25
    assert pr.initialize(model, relax="0.25").to_dict()["relax"] == "0.25"


def test_roots_by_hand_are_relaxed() -> None:
    torch.manual_seed(3)
    model: Any = pr.models.build("q2", image_size=8, channels=(4,))
    report = pr.initialize(model, strategy="given", roots=[0.5, -0.5], relax=0.5)
    assert [block.roots[0][0] for block in report.levels[0].blocks] == [1.0, -1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("automatic", "unknown relaxation 'automatic': did you mean 'auto'"),
        ("auto:1", "with a bound above 1, got 'auto:1'"),
        ("auto:x", "with a bound above 1, got 'auto:x'"),
        ("none:2", "with a bound above 1, got 'none:2'"),
        ("-2", "expected a positive weight of relaxation, got -2"),
        ("0", "expected a positive weight of relaxation, got 0"),
        ("inf", "expected a positive weight of relaxation, got inf"),
        ("", "expected none, auto, auto:BOUND or a positive weight for relax, got ''"),
    ],
)
def test_what_is_no_relaxation_is_said(text: str, message: str) -> None:
    with pytest.raises(pr.InputError, match=re.escape(message)):
        pr.select_roots([1, 2, 3, 4], relax=text)
    for command in ("init", "train"):
        said = fails(command, "--relax", text, exit_code=2)
        assert message in said
        assert "(--relax)" in said or "did you mean" in said


@pytest.mark.parametrize("text", ["none", "auto", "auto:1.25", "0.25", "1", "4"])
def test_a_relaxation_is_read_as_it_is_written(text: str) -> None:
    assert str(Relaxation.parse(text)) == text


def test_the_commands_relax_and_say_so(tmp_path: Path) -> None:
    options = ("--model", "q4", "--channels", "4,8", "--seed", 3)
    text = run("init", *options, "--relax", "auto", "--out", tmp_path / "init.pt").stdout
    assert "roots 'extremal', relaxed 'auto'" in text
    assert re.search(r"Start: amplifies up to [\d.]+ times in level 1: relaxed by 0\.\d+, 1\.\d+ times then; ", text)
    assert "relaxed" not in run("init", *options).stdout
    assert re.search(r"Start: amplifies up to [\d.]+ times in level 1; amplifies", run("init", *options).stdout)
    small = ("--limit", 20, "--epochs", 1, "--signs", "paper")
    said = run("train", *options, *small, "--out", tmp_path / "run").stdout
    assert "relaxed by 0." in said
    run("train", "--init", tmp_path / "init.pt", *small[:-2], "--seed", 3, "--out", tmp_path / "again")
    for name in ("run", "again"):
        assert json.loads((tmp_path / name / "config.json").read_text())["config"]["relax"] == "auto"
        assert json.loads((tmp_path / name / "init.json").read_text())["relax"] == "auto"
    first, second = (pr.load_checkpoint(tmp_path / name / "last.pt").weights for name in ("run", "again"))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_drawn_coefficients_are_not_relaxed() -> None:
    model: Any = pr.models.build("q2", image_size=8, channels=(4,))
    with pytest.raises(pr.InputError, match="leave relax out"):
        pr.initialize(model, alpha_init="xavier", relax="auto")
    for command in ("init", "train"):
        assert "leave --relax out" in fails(command, "--alpha-init", "xavier", "--relax", "auto", exit_code=2)


def test_symmetric_pairs_by_products_alone(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """S multiplies by A twice, also where an operator is too large for its matrix."""
    K = 0.3 * rng.standard_normal((2, 2, 3, 3))
    A = dense_operator(K, (7, 6), padding="zeros")
    expected = np.linalg.norm(np.eye(len(A)) - A @ A / 1.3**2, 2)
    operator = pr.Convolution.of(K, (7, 6), padding="zeros")
    monkeypatch.setattr("polyroots.polynomials.operator_norm.DENSE_IS_FASTER", 0)
    norms = OperatorNorm(operator)
    assert norms.by_products((SymmetricPair(1.3 / norms.scale),))[0] == pytest.approx(expected, rel=1e-9)
