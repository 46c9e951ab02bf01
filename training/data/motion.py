"""Deformations and contrasts drawn at random; every one has its exact inverse to go with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.field import exponential
from ElasticHyperRegLib.grid import gaussian_smooth, resize, sample, voxel_points

NODES = 1.5
"""Lattice nodes within one scale of a random field, enough for linear interpolation in between."""
STEPS_A_SCALE = 3
"""Nodes within the finest scale of a motion where it is integrated."""


@dataclass(frozen=True)
class Motion:
    """How a random deformation looks.

    Args:
        peak_mm: largest velocity; each deformation draws its own between 0 and this.
        finest_mm: smallest scale of the motion (standard deviation of the smoothing).
        coarsest_mm: largest scale.

    Raises:
        InputError: negative, or scales the wrong way round.
    """

    peak_mm: float
    finest_mm: float
    coarsest_mm: float

    def __post_init__(self) -> None:
        if not (self.peak_mm >= 0 and 0 < self.finest_mm <= self.coarsest_mm):
            raise InputError(
                f"a motion of {self.peak_mm:g} mm at {self.finest_mm:g} to {self.coarsest_mm:g} mm",
                "a peak from 0 on and positive scales, the finest first",
            )

    def draw(
        self, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator
    ) -> Deformation:
        """A random deformation of a grid.

        Args:
            spacing: mm along i, j, k.
        """
        extent = np.asarray(shape) * np.asarray(spacing[::-1])
        wanted = np.ceil(extent * STEPS_A_SCALE / self.finest_mm).astype(int)
        coarse = tuple(int(n) for n in np.clip(wanted, 2, shape))
        steps = tuple(float(s) for s in (extent / coarse)[::-1])
        scale = float(np.exp(rng.uniform(np.log(self.finest_mm), np.log(self.coarsest_mm))))
        noise = smooth_noise(coarse, steps, scale, rng, len(shape))
        longest = noise.square().sum(1).sqrt().max()
        v_mm = noise * (self.peak_mm * float(rng.uniform()) / longest)
        return Deformation(v_mm / _column(steps), shape)


@dataclass(frozen=True, eq=False)
class Deformation:
    """exp(v) of a velocity (1, D, *coarse) in voxels of a coarse grid over the extent of ``shape``.

    It is as fine as the motion needs: one quick to integrate, exact enough between its nodes.
    """

    velocity: torch.Tensor
    shape: tuple[int, ...]

    def forward(self) -> torch.Tensor:
        """exp(v) − id, (1, D, *shape) voxels of the fine grid."""
        return self._integrated(1.0)

    def inverse(self) -> torch.Tensor:
        """exp(−v) − id, likewise."""
        return self._integrated(-1.0)

    def _integrated(self, sign: float) -> torch.Tensor:
        coarse = self.velocity.shape[2:]
        ratio = tuple(fine / n for fine, n in zip(self.shape[::-1], coarse[::-1], strict=True))
        return resize(exponential(sign * self.velocity), self.shape) * _column(ratio)


def _column(values: tuple[float, ...]) -> torch.Tensor:
    """Numbers along i, j, k shaped to act on the channels of a field."""
    return torch.tensor(values).view(1, -1, *[1] * len(values))


def smooth_noise(
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    scale_mm: float,
    rng: np.random.Generator,
    channels: int,
) -> torch.Tensor:
    """Random fields (1, channels, *shape) of one scale, mean 0 and about unit variance each."""
    extent = np.asarray(shape) * np.asarray(spacing[::-1])
    nodes = tuple(max(2, int(n)) for n in np.ceil(extent * NODES / scale_mm))
    margin = int(np.ceil(3 * NODES))
    padded = tuple(n + 2 * margin for n in nodes)
    white = torch.from_numpy(rng.standard_normal((1, channels, *padded), dtype=np.float32))
    smooth = gaussian_smooth(white, (NODES,) * len(shape))
    inner = tuple(slice(margin, margin + n) for n in nodes)
    field = smooth[(slice(None), slice(None), *inner)]
    return resize(field / smooth.std(), shape)


def moved(data: torch.Tensor, u_vox: torch.Tensor, nearest: bool = False) -> torch.Tensor:
    """``data`` (1, C, *shape) at x + u(x); borders continue outwards."""
    points = voxel_points(tuple(data.shape[2:]), u_vox) + u_vox
    if not nearest:
        return sample(data, points)
    return sample(data.float(), points, mode="nearest").to(data.dtype)


def rescanned(image: torch.Tensor, noise: float, rng: np.random.Generator) -> torch.Tensor:
    """``image``, of values 0 to 1, with another gamma (0.75 to 1.33) and Gaussian noise."""
    gamma = float(np.exp(rng.uniform(-0.29, 0.29)))
    grain = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    return (image.clamp(0, 1) ** gamma + noise * grain).clamp(0, 1)
