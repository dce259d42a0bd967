from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dense import dense_operator, matched_error
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.linalg import eig

import polyroots as pr

LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=float).reshape(1, 1, 3, 3)


@pytest.mark.parametrize(
    ("c", "kernel", "size", "dilation"),
    [
        (1, (3, 3), (6, 6), 1),
        (2, (3, 3), (5, 5), 1),
        (3, (3, 3), (4, 7), 1),
        (4, (3, 3), (8, 6), 1),
        (8, (3, 3), (4, 4), 1),
        (3, (2, 2), (6, 5), 2),
        (2, (4, 2), (5, 6), 2),
        (2, (4, 4), (7, 4), 1),
        (3, (3, 5), (2, 2), 1),
        (2, (5, 5), (3, 4), 1),
        (2, (3, 3), (1, 1), 1),
        (3, (3, 3), (1, 6), 3),
        (5, (1, 1), (4, 3), 1),
    ],
)
def test_eigenvalues_are_those_of_the_dense_operator(
    c: int, kernel: tuple[int, int], size: tuple[int, int], dilation: int, rng: np.random.Generator
) -> None:
    K = rng.standard_normal((c, c, *kernel))
    expected = np.linalg.eigvals(dense_operator(K, size, dilation))
    assert matched_error(pr.eigenvalues(K, size, dilation=dilation).values, expected) < 1e-11


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_block_diagonal(groups: int, rng: np.random.Generator) -> None:
    K = rng.standard_normal((4, 4 // groups, 3, 3))
    expected = np.linalg.eigvals(dense_operator(K, (4, 5), groups=groups))
    assert matched_error(pr.eigenvalues(K, (4, 5), groups=groups).values, expected) < 1e-11
    full = pr.symbol(K, (4, 5), groups=groups)
    assert full.shape == (4, 3, 4, 4)
    assert full[:, :, 0, -1].any() == 0


@settings(max_examples=40, deadline=None)
@given(
    c_out=st.integers(1, 4),
    c_in=st.integers(1, 4),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 2**32 - 1),
)
def test_symbol_multiplies_the_modes_as_torch_convolves(
    c_out: int, c_in: int, kernel: tuple[int, int], size: tuple[int, int], dilation: tuple[int, int], seed: int
) -> None:
    """torch's convolution of a wrapped Fourier mode is the symbol times the mode."""
    generator = np.random.default_rng(seed)
    K = generator.standard_normal((c_out, c_in, *kernel))
    ky, kx = generator.integers(size[0]), generator.integers(size[1] // 2 + 1)
    v = generator.standard_normal(c_in) + 1j * generator.standard_normal(c_in)
    mode = np.exp(2j * np.pi * (ky * np.arange(size[0])[:, None] / size[0] + kx * np.arange(size[1]) / size[1]))
    u = v[:, None, None] * mode
    expected = np.einsum("oi,i,yx->oyx", pr.symbol(K, size, dilation=dilation)[ky, kx], v, mode)

    # padding="same" puts floor(total / 2) before and the rest behind; np.pad may wrap several times.
    pads = [(0, 0)]
    for k, step in zip(kernel, dilation, strict=True):
        total = step * (k - 1)
        pads.append((total // 2, total - total // 2))
    padded = torch.from_numpy(np.pad(u, pads, mode="wrap"))
    weight = torch.from_numpy(K)
    real = torch.nn.functional.conv2d(padded.real[None], weight, dilation=dilation)[0].numpy()
    imag = torch.nn.functional.conv2d(padded.imag[None], weight, dilation=dilation)[0].numpy()
    np.testing.assert_allclose(real + 1j * imag, expected, rtol=0, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    c=st.integers(1, 4),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
def test_invariants(
    c: int, kernel: tuple[int, int], size: tuple[int, int], dilation: tuple[int, int], seed: int
) -> None:
    """The number of values, exact closure under conjugation, the trace and the trace of the square are right."""
    K = np.random.default_rng(seed).standard_normal((c, c, *kernel))
    Lambda = pr.eigenvalues(K, size, dilation=dilation)
    n = size[0] * size[1]
    assert len(Lambda) == c * n
    assert Lambda.values.dtype == np.complex128
    assert np.array_equal(np.sort_complex(Lambda.values), np.sort_complex(Lambda.values.conj()))
    A = dense_operator(K, size, dilation)
    scale = np.abs(A).sum()
    assert abs(Lambda.values.sum() - np.trace(A)) < 1e-12 * scale
    assert abs((Lambda.values**2).sum() - np.trace(A @ A)) < 1e-11 * scale**2


def test_laplacian_is_known() -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, (8, 6))
    theta = Lambda.frequencies
    np.testing.assert_allclose(Lambda.values, 4 - 2 * np.cos(theta).sum(axis=1), rtol=0, atol=1e-14)
    assert Lambda.max_real == pytest.approx(8, abs=1e-13)
    assert Lambda.min_real == pytest.approx(0, abs=1e-13)
    assert Lambda.max_imag == pytest.approx(0, abs=1e-14)
    assert Lambda.radius == pytest.approx(8, abs=1e-13)


def test_jacobi_four_fifths_smooths_the_laplacian_by_three_fifths() -> None:
    """|1 - (4/5) lambda / 4| over the frequencies with some |theta| >= pi / 2 is at most 3/5, the textbook value."""
    Lambda = pr.eigenvalues(LAPLACIAN, 64)
    high = (np.abs(Lambda.frequencies) >= np.pi / 2).any(axis=1)
    q = pr.ResidualPolynomial([4 / 0.8])
    assert np.abs(q(Lambda.values[high])).max() == pytest.approx(3 / 5, abs=1e-14)


def test_identity_and_shift() -> None:
    identity = np.zeros((3, 3, 3, 3))
    identity[[0, 1, 2], [0, 1, 2], 1, 1] = 1
    assert (pr.eigenvalues(identity, 5).values == 1).all()
    shift = np.zeros((1, 1, 3, 3))
    shift[0, 0, 1, 2] = 1
    Lambda = pr.eigenvalues(shift, (1, 7))
    np.testing.assert_allclose(Lambda.values, np.exp(1j * Lambda.frequencies[:, 1]), atol=1e-15)


def test_frequencies_are_principal_and_belong_to_their_values(rng: np.random.Generator) -> None:
    K = rng.standard_normal((2, 2, 3, 3))
    Lambda = pr.eigenvalues(K, (4, 5))
    assert Lambda.frequencies.shape == (40, 2)
    assert Lambda.frequencies.max() == np.pi
    assert Lambda.frequencies.min() > -np.pi
    for theta, value in zip(Lambda.frequencies, Lambda.values, strict=True):
        modes = np.exp(1j * (theta[0] * np.arange(-1, 2)[:, None] + theta[1] * np.arange(-1, 2)))
        A_hat = (K * modes).sum(axis=(2, 3))
        assert np.linalg.svd(A_hat - value * np.eye(2), compute_uv=False)[-1] < 1e-12


def test_symbol_has_real_matrices_at_self_conjugate_frequencies(rng: np.random.Generator) -> None:
    A_hat = pr.symbol(rng.standard_normal((3, 3, 4, 3)), (6, 8))
    assert A_hat.shape == (6, 5, 3, 3)
    assert (A_hat[[0, 0, 3, 3], [0, 4, 0, 4]].imag == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_precision_are_computed_in_float64(dtype: torch.dtype, rng: np.random.Generator) -> None:
    weight = torch.from_numpy(rng.standard_normal((2, 2, 3, 3))).to(dtype).requires_grad_()
    expected = pr.eigenvalues(weight.detach().double().numpy(), 4)
    assert np.array_equal(pr.eigenvalues(weight, 4).values, expected.values)


def test_a_spectrum_survives_its_file(tmp_path: Path, rng: np.random.Generator) -> None:
    Lambda = pr.eigenvalues(rng.standard_normal((2, 1, 3, 3)), (4, 6), dilation=(2, 1), groups=2)
    Lambda.save(tmp_path / "Lambda.npz")
    read = pr.Spectrum.load(tmp_path / "Lambda.npz")
    assert np.array_equal(read.values, Lambda.values)
    assert np.array_equal(read.frequencies, Lambda.frequencies)
    assert np.array_equal(read.weight, Lambda.weight)
    assert (read.size, read.padding, read.dilation, read.groups) == ((4, 6), "circular", (2, 1), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["Lambda.npz"]


def test_no_file_and_no_spectrum_are_said(tmp_path: Path) -> None:
    with pytest.raises(pr.FileError, match="no file"):
        pr.Spectrum.load(tmp_path / "none.npz")
    pr.eigenvalues(np.ones((1, 1, 1, 1)), 2).save(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.ones(3))
    array = (tmp_path / "array.npy").read_bytes()
    arrays = dict(np.load(tmp_path / "whole.npz"))
    np.savez(tmp_path / "short.npz", **{**arrays, "values": arrays["values"][1:]})
    short = (tmp_path / "short.npz").read_bytes()
    for content in (b"", b"nothing of the kind", whole[: len(whole) // 2], array, short):
        (tmp_path / "text.npz").write_bytes(content)
        with pytest.raises(pr.FileError, match="is no spectrum"):
            pr.Spectrum.load(tmp_path / "text.npz")


@pytest.mark.parametrize(
    ("shape", "size", "options", "message"),
    [
        ((3, 3, 3), 8, {}, r"shape \(c_out, c_in, kh, kw\), a stencil .*, got shape \(3, 3, 3\)"),
        ((4, 2, 3, 3), 8, {}, "as many output as input channels, got 4 from 2"),
        ((2, 2, 3, 3), 0, {}, "at least 1x1 pixels, got 0x0"),
        ((2, 2, 3, 3), 8, {"dilation": 0}, "dilation of at least 1"),
        ((3, 2, 3, 3), 8, {"groups": 2}, "3 output channels can't be split into 2 groups"),
        ((2, 2, 3, 3), (8, 8, 8), {}, "a whole number or a pair"),
        ((2, 2, 3, 3), None, {}, "a whole number or a pair of them, got None"),
        ((2, 2, 3, 3), 2.5, {}, "a whole number or a pair of them, got 2.5"),
    ],
)
@pytest.mark.usefixtures("types_unchecked")
def test_bad_input_is_named(shape: tuple[int, ...], size: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(pr.InputError, match=message):
        pr.eigenvalues(np.ones(shape), size, **options)


def test_nan_names_the_layer() -> None:
    K = np.ones((1, 1, 3, 3))
    K[0, 0, 1] = np.nan
    with pytest.raises(pr.InputError, match=r"layer3\.conv: 3 of 9 entries are NaN or infinite"):
        pr.Convolution.of(K, 8, name="layer3.conv")
    with pytest.raises(pr.InputError, match="expected real numbers, got dtype complex128"):
        pr.eigenvalues(K.astype(complex), 8)
    with pytest.raises(pr.InputError, match="expected real numbers, got dtype complex64"):
        pr.eigenvalues(torch.full((1, 1, 1, 1), 1 + 5j), 8)


GEOMETRY = {
    "m": st.integers(1, 3),
    "groups": st.integers(1, 3),
    "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
    "size": st.tuples(st.integers(1, 7), st.integers(1, 7)),
    "dilation": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=60, deadline=None)
@given(**GEOMETRY)
def test_any_geometry_is_that_of_the_dense_operator(
    m: int, groups: int, kernel: tuple[int, int], size: tuple[int, int], dilation: tuple[int, int], seed: int
) -> None:
    """Cases: groups, dilation per axis, even and one-tap kernels, kernels larger than the image, repeated periods."""
    K = np.random.default_rng(seed).standard_normal((groups * m, m, *kernel))
    A = dense_operator(K, size, dilation, groups)
    expected, left, right = eig(A, left=True, right=True)
    with np.errstate(divide="ignore"):
        condition = (1 / np.abs((left.conj() * right).sum(axis=0))).max()
    bound = 1e-11 + 100 * np.finfo(float).eps * condition * np.linalg.norm(A) / np.abs(expected).max()
    Lambda = pr.eigenvalues(K, size, dilation=dilation, groups=groups)
    assert Lambda.frequencies.shape == (len(Lambda), 2)
    assert np.array_equal(np.sort_complex(Lambda.values), np.sort_complex(Lambda.values.conj()))
    if bound < 1e-3:
        assert matched_error(Lambda.values, expected) < bound
    # tr A^k = sum of lambda^k is exact whatever the conditions are.
    scale = np.linalg.norm(A) + 1
    assert abs(Lambda.values.sum() - np.trace(A)) < 1e-12 * scale * len(A)
    assert abs((Lambda.values**2).sum() - np.trace(A @ A)) < 1e-12 * scale**2 * len(A)
    # Schur's inequality holds.
    assert (np.abs(Lambda.values) ** 2).sum() <= (A**2).sum() * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(c=st.integers(1, 4), size=st.tuples(st.integers(1, 6), st.integers(1, 6)), seed=st.integers(0, 2**32 - 1))
def test_what_transforms_the_operator_transforms_its_spectrum(c: int, size: tuple[int, int], seed: int) -> None:
    """A^T and A with permuted channels have the same eigenvalues, A + s I shifted ones, s A scaled ones."""
    rng = np.random.default_rng(seed)
    # Diagonally dominant, so that eigenvalues are well conditioned.
    K = 0.1 * rng.standard_normal((c, c, 3, 3))
    K[range(c), range(c), 1, 1] += np.arange(1, c + 1) * 3
    Lambda = pr.eigenvalues(K, size).values
    transposed = K.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    assert matched_error(pr.eigenvalues(transposed, size).values, Lambda) < 1e-11
    shifted = K.copy()
    shifted[range(c), range(c), 1, 1] -= 0.75
    assert matched_error(pr.eigenvalues(shifted, size).values, Lambda - 0.75) < 1e-11
    order = rng.permutation(c)
    assert matched_error(pr.eigenvalues(K[order][:, order], size).values, Lambda) < 1e-11
    assert matched_error(pr.eigenvalues(-2 * K, size).values, -2 * Lambda) < 1e-11


def test_nine_point_laplacian_and_sobel_are_known() -> None:
    nine = np.array([[-1, -4, -1], [-4, 20, -4], [-1, -4, -1]], dtype=float).reshape(1, 1, 3, 3)
    Lambda = pr.eigenvalues(nine, (6, 9))
    y, x = np.cos(Lambda.frequencies).T
    np.testing.assert_allclose(Lambda.values, 20 - 8 * y - 8 * x - 4 * y * x, rtol=0, atol=1e-13)
    sobel = np.outer([1, 2, 1], [-1, 0, 1]).astype(float).reshape(1, 1, 3, 3)
    Lambda = pr.eigenvalues(sobel, (6, 9))
    y, x = Lambda.frequencies.T
    np.testing.assert_allclose(Lambda.values, 2j * np.sin(x) * (2 + 2 * np.cos(y)), rtol=0, atol=1e-13)


def test_one_period_is_solved_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One symbol is solved for a 1x1 kernel and a quarter of them for a dilation by 2; the others are copies."""
    solved = []

    def counting(stack: NDArray[Any]) -> NDArray[Any]:
        solved.append(len(stack))
        return np.linalg.eigvals(stack)

    monkeypatch.setattr("polyroots.spectra.spectrum.eigvals", counting)
    for kernel, dilation, count in (((1, 1), 1, 1), ((3, 3), 2, 18), ((1, 3), 1, 7), ((3, 3), 1, 74)):
        K = np.random.default_rng(13).standard_normal((2, 2, *kernel))
        solved.clear()
        Lambda = pr.eigenvalues(K, 12, dilation=dilation)
        assert sum(solved) <= count + 4
        assert matched_error(Lambda.values, np.linalg.eigvals(dense_operator(K, (12, 12), dilation))) < 1e-11


def test_high_frequencies_are_those_of_local_fourier_analysis() -> None:
    Lambda = pr.eigenvalues(LAPLACIAN, 8)
    y, x = Lambda.frequencies.T
    assert np.array_equal(Lambda.is_high_frequency, (abs(y) >= np.pi / 2) | (abs(x) >= np.pi / 2))
    assert (~Lambda.is_high_frequency).sum() == 9  # -1, 0, 1 of eight frequencies a side
    # Damped Jacobi with 4/5 has the factor 3/5 on high frequencies and 1 on the lowest.
    q = pr.ResidualPolynomial([4 / 0.8])
    assert np.abs(q(Lambda.values[Lambda.is_high_frequency])).max() == pytest.approx(3 / 5, abs=1e-14)
    assert np.abs(q(Lambda.values[~Lambda.is_high_frequency])).max() == pytest.approx(1, abs=1e-14)
    with pytest.raises(pr.InputError, match="have no frequency"):
        _ = pr.eigenvalues(LAPLACIAN, 4, padding="zeros").is_high_frequency
    with pytest.raises(pr.InputError, match="not ordered by group"):
        _ = pr.eigenvalues(LAPLACIAN, 4, padding="zeros").per_group


def test_groups_have_their_own_spectra(rng: np.random.Generator) -> None:
    K = rng.standard_normal((6, 2, 3, 3))
    Lambda = pr.eigenvalues(K, (4, 5), groups=3)
    assert Lambda.per_group.shape == (3, 40)
    for group in range(3):
        alone = pr.eigenvalues(K[2 * group : 2 * group + 2], (4, 5))
        assert matched_error(Lambda.per_group[group], alone.values) < 1e-13


def test_single_precision_on_request(rng: np.random.Generator) -> None:
    K = rng.standard_normal((8, 8, 3, 3))
    exact = pr.eigenvalues(K, 6)
    single = pr.eigenvalues(K, 6, dtype=np.complex64)
    assert single.values.dtype == np.complex64
    assert 1e-12 < matched_error(single.values, exact.values) < 1e-4
    assert np.array_equal(np.sort_complex(single.values), np.sort_complex(single.values.conj()))
    single_zeros = pr.eigenvalues(K, 3, padding="zeros", dtype=np.complex64)
    assert (single_zeros.errors >= 1e-8 * np.abs(single_zeros.values)).all()
    with pytest.raises(pr.InputError, match="too large for complex64; use complex128"):
        pr.eigenvalues(K * 1e60, 6, dtype=np.complex64)
    with pytest.raises(pr.InputError, match="complex128 or complex64, got dtype float64"):
        pr.eigenvalues(K, 6, dtype=float)


def test_what_has_no_eigenvalues_is_offered_singular_values() -> None:
    with pytest.raises(pr.InputError, match="got 4 from 2; compute its singular values"):
        pr.eigenvalues(np.ones((4, 2, 3, 3)), 8)
    with pytest.raises(pr.InputError, match="expected at least 1 worker, got 0"):
        pr.eigenvalues(np.ones((1, 1, 3, 3)), 8, workers=0)
