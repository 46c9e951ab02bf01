"""Local normalised cross-correlation by box filters, with its analytic derivative.

cc² = cov(F, W)² / (var F · var W + ε) in a box of ``window`` voxels a side. Time and memory are
linear in the number of voxels and hardly hang on the window.

Reference: Avants et al., Symmetric diffeomorphic image registration with cross-correlation,
Medical Image Analysis 12 (2008).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch

from ..grid import full_precision, mixed
from .likeness import Likeness

EPSILON = 1e-10
"""Beside a product of variances of intensities of order 1. Published code has 1e-5 beside the
product of the sums over a box of n voxels, here 1e-5/n²: about as much for 9 × 9."""
BLOCK = 48
"""Voxels along an axis whose sums are found together."""
ALONE = 2**19
"""Voxels of images that are summed one by one."""
FEW = 12
"""Products at once; more are written into a part of a tensor slowly."""


def box_sum(data: torch.Tensor, window: int) -> torch.Tensor:
    """Sum over a box of ``window`` (odd) voxels a side, nothing outside: (N, C, *shape).

    Along each axis a product with a matrix of ones near its diagonal, block by block: most of its
    factors are 0, and yet it takes half of the time of sums that are built by doubling, as it goes
    over the memory once. No rounding drifts along, as in running sums. Products have to keep all
    digits, as they do unless someone allows TF32: what is left of a variance are its last ones.
    """
    with full_precision(data):
        for axis in range(2, data.ndim):
            if data.shape[axis] > 1:
                data = _window_sum(data, axis, window // 2)
    return data


def _sums(
    images: Iterable[torch.Tensor], window: int, like: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """``box_sum`` of several images (N, 1, *shape), each of the size of ``like``.

    Large ones one by one, as all of them together leave the processor's cache and take several
    times the memory, which the system has to find; small ones together, as each call costs.
    """
    if like.numel() >= ALONE:
        return tuple(box_sum(image, window) for image in images)
    return box_sum(torch.cat(list(images), 1), window).split(1, 1)


def _window_sum(data: torch.Tensor, axis: int, reach: int) -> torch.Tensor:
    """Sums of what lies up to ``reach`` voxels away along an axis."""
    length = data.shape[axis]
    size = math.ceil(length / math.ceil(length / BLOCK))
    followed = torch.is_grad_enabled() and data.requires_grad
    few = axis == data.ndim - 1 or (axis == 2 and data.shape[:2].numel() <= FEW)
    whole = data.new_empty(data.shape) if few and size < length and not followed else None
    sums = []
    for begin in range(0, length, size):
        end = min(begin + size, length)
        low, high = max(begin - reach, 0), min(end + reach, length)
        ones = data.new_ones(end - begin, high - low)
        near = ones.tril(begin - low + reach).triu(begin - low - reach)
        reached = data.narrow(axis, low, high - low)
        if whole is None:
            sums.append(mixed(reached, axis, near))
        else:
            _write(reached, axis, near, whole.narrow(axis, begin, end - begin))
    if whole is not None:
        return whole
    return torch.cat(sums, axis) if len(sums) > 1 else sums[0]


def _write(data: torch.Tensor, axis: int, weights: torch.Tensor, out: torch.Tensor) -> None:
    """As ``mixed``, along the first or the last axis, into ``out``."""
    if axis == data.ndim - 1:
        rows = data.reshape(-1, data.shape[axis])
        torch.mm(rows, weights.T, out=out.view(-1, out.shape[axis]))
        return
    rows = data.flatten(3).flatten(0, 1)
    every = weights.expand(len(rows), *weights.shape)
    torch.bmm(every, rows, out=out.view(len(rows), out.shape[axis], -1))


class _Moments(NamedTuple):
    """Of each box, (N, 1, *shape): mean of the warped image, covariance, 1 / (var F var W + ε)."""

    mean: torch.Tensor
    cov: torch.Tensor
    norm: torch.Tensor


class LocalNCC(Likeness):
    """Local NCC against one fixed image, whose statistics are computed once.

    Args:
        fixed: (N, 1, *shape), intensities of order 1.
        window: odd box size in voxels.
        mask: voxels of the fixed image that count, (N or 1, 1, *shape) in [0, 1].
    """

    def __init__(self, fixed: torch.Tensor, window: int, mask: torch.Tensor | None = None) -> None:
        super().__init__(fixed, mask)
        self.window = window
        weight = torch.ones_like(self.fixed) if self.mask is None else self.mask
        products = (weight * power for power in (1, self.fixed, self.fixed**2))
        count, mean, square = _sums(products, window, self.fixed)
        self.count = count.clamp_min(1)
        self.fixed_mean = mean / self.count
        self.fixed_variance = (square / self.count - self.fixed_mean.square()).clamp_min(0)

    def map(self, warped: torch.Tensor) -> torch.Tensor:
        """Signed cc² at each voxel, (N, 1, *shape), in [−1, 1]; differentiable in ``warped``.

        An inverted contrast counts as negative: within one modality it is a mismatch, and its
        square would pull structures towards their opposites.
        """
        values: torch.Tensor = _SignedSquaredCC.apply(warped.float(), self)  # type: ignore[no-untyped-call]
        return values

    def within(self, counted: torch.Tensor) -> LocalNCC:
        """As ``Likeness.within``: boxes look at these voxels alone."""
        mask = counted if self.mask is None else self.mask * counted
        return LocalNCC(self.fixed, self.window, mask)

    def slope(self, warped: torch.Tensor) -> torch.Tensor:
        """Derivative of the sum of ``map`` by each voxel of ``warped``, (N, 1, *shape).

        Differentiable in ``warped`` itself.
        """
        warped = warped.float()
        return self.pulled_back(torch.ones_like(warped), warped, self.moments(warped))

    def moments(self, warped: torch.Tensor) -> _Moments:
        """What a box of ``warped`` and of the fixed image have in common."""
        w = warped if self.mask is None else warped * self.mask
        products = (w if by is None else w * by for by in (None, warped, self.fixed))
        sums = _sums(products, self.window, w)
        mean, square, product = (value / self.count for value in sums)
        variance = (square - mean.square()).clamp_min(0)
        cov = product - mean * self.fixed_mean
        return _Moments(mean, cov, 1 / (self.fixed_variance * variance + EPSILON))

    def pulled_back(
        self, grad: torch.Tensor, warped: torch.Tensor, moments: _Moments
    ) -> torch.Tensor:
        """A derivative by ``map`` as one by ``warped``, both (N, 1, *shape)."""
        mean, cov, norm = moments
        d_cov = grad * cov.abs() * norm / self.count  # half of each of the three
        steepness = cov * norm * self.fixed_variance  # of warped on fixed
        d_mean = d_cov * torch.addcmul(-self.fixed_mean, steepness, mean)
        factors = (d_cov, d_cov * steepness, d_mean)
        own, square, shift = _sums(factors, self.window, warped)
        whole = torch.addcmul(shift, own, self.fixed)
        whole = 2 * torch.addcmul(whole, square, warped, value=-1)
        return whole if self.mask is None else whole * self.mask


class _SignedSquaredCC(torch.autograd.Function):
    """Signed cc² with three box filters forwards and three backwards."""

    @staticmethod
    def forward(ctx: Any, warped: torch.Tensor, ncc: LocalNCC) -> torch.Tensor:
        moments = ncc.moments(warped)
        ctx.save_for_backward(warped, *moments)
        ctx.ncc = ncc
        _, cov, norm = moments
        return cov * cov.abs() * norm

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        warped, *moments = ctx.saved_tensors
        return ctx.ncc.pulled_back(grads[0], warped, _Moments(*moments)), None


def local_ncc(
    fixed: torch.Tensor, warped: torch.Tensor, window: int = 9, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean local dissimilarity 1 − cc² of two images, one value a sample: (N,)."""
    return LocalNCC(fixed, window, mask)(warped)
