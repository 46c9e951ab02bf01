"""A heart in short-axis slices at end-diastole and end-systole, as cine MR shows it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
import torch

from ..errors import InputError
from ..types import Grid, Image, LabelMap
from .shapes import coverage, ellipsoid, length, positions, random_texture, vector

VIEW_MM = 307.2
SLICES, SLICE_MM = 10, 10.0
USUAL_SIZE, SMALLEST_SIZE = 192, 32
TISSUES = {0: "background", 1: "right_ventricle", 2: "myocardium", 3: "left_ventricle"}
"""The labels of the tissue scheme ``cardiac-mr``."""
LUNG, FAT, MUSCLE, LIVER, BLOOD = 30.0, 330.0, 110.0, 170.0, 400.0
NOISE = 8.0
LEFT, RIGHT = (-12.0, 8.0), (25.0, 22.0)
CAVITY_MM, WALL_MM = 25.0, 9.0
LENGTH_MM = 62.0
"""From the middle slice to the apex."""
SQUEEZED = 0.55
"""Part of the left cavity's area that is gone at end-systole; of the right one's half as much."""
REACH_MM = 70.0


@dataclass(frozen=True, eq=False)
class HeartPhantom:
    """A pair of stacks with their labels: ``fixed`` at end-diastole, ``moving`` at end-systole."""

    fixed: Image
    moving: Image
    fixed_labels: LabelMap
    moving_labels: LabelMap


def make_heart(size: int = USUAL_SIZE, seed: int = 0) -> HeartPhantom:
    """Ten slices of a heart, 10 mm apart, that contracts in their planes.

    The wall nearly keeps its area: points at the distance r' from the axis at end-systole stood at
    r = √(r'² + a) before, where a is the area over π that the cavity lost; far away nothing moves.

    Args:
        size: voxels along each side of a slice.
        seed: of texture and noise.

    Raises:
        InputError: fewer than 32 voxels.
    """
    if size < SMALLEST_SIZE:
        raise InputError(f"slices of {size} voxels a side", f"{SMALLEST_SIZE} or more")
    spacing = (VIEW_MM / size, VIEW_MM / size, SLICE_MM)
    origin = [-(n - 1) / 2 * s for n, s in zip((size, size, SLICES), spacing, strict=True)]
    grid = Grid.from_spacing((SLICES, size, size), spacing, tuple(origin))
    rng = np.random.default_rng(seed)
    texture = random_texture(grid, 6.0, rng)
    diastole = positions(grid)
    scale = taper(diastole)
    systole = squeeze(diastole, LEFT, CAVITY_MM * scale, SQUEEZED)
    systole = squeeze(systole, RIGHT, CAVITY_MM * scale, SQUEEZED / 2)
    images: list[Image] = []
    labels: list[LabelMap] = []
    for points, name in ((diastole, "fixed"), (systole, "moving")):
        image, values = scan(points, texture(points))
        noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
        image = (image + NOISE * noise).clamp(min=0)
        images.append(Image(image[None, None], grid, name))
        labels.append(LabelMap(values[None, None], grid, dict(TISSUES), f"{name} labels"))
    return HeartPhantom(images[0], images[1], labels[0], labels[1])


def taper(p: torch.Tensor) -> torch.Tensor:
    """How wide the heart is at the S of each point: 1 in the middle, less towards the apex."""
    return (1 - (p[2].clamp(max=0) / LENGTH_MM).square()).clamp(min=0.04).sqrt()


def squeeze(
    p: torch.Tensor, centre: tuple[float, float], cavity: torch.Tensor, lost: float
) -> torch.Tensor:
    """Where the points (3, ...) of a contracted stack stood before.

    Args:
        centre: R, A mm of the axis.
        cavity: radius before, mm, at each point.
        lost: part of the cavity's area that is gone.
    """
    offset = p[:2] - vector(centre, p[:2])
    square = offset.square().sum(0).clamp(min=1e-6)
    after = cavity.square() * (1 - lost)
    fade = torch.exp(-((square / REACH_MM**2) ** 2))
    grown = cavity.square() * lost * (square / after).clamp(max=1) * fade
    return torch.cat([p[:2] + offset * ((1 + grown / square).sqrt() - 1), p[2:]])


def scan(p: torch.Tensor, texture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Intensities float32 and labels int32 (*shape) at ``p`` (3, *shape), R, A, S mm."""
    scale = taper(p)
    cavity = length(p[:2] - vector(LEFT, p[:2])) - CAVITY_MM * scale
    papillary = [
        length(p[:2] - vector((LEFT[0] + r, LEFT[1] - 12), p[:2])) - 3.5 for r in (-10, 10)
    ]
    right = ellipsoid(torch.stack([p[0], p[1], 0 * p[2]]) / scale, (24, 20, 0), (27, 34, inf))
    solids = (
        (ellipsoid(p, (0, 0, 0), (140, 105, inf)), FAT),
        (ellipsoid(p, (0, 2, 0), (125, 90, inf)), MUSCLE),
        (ellipsoid(p, (66, -10, 40), (50, 66, 90)), LUNG),
        (ellipsoid(p, (-72, -14, 10), (46, 62, 120)), LUNG),
        (ellipsoid(p, (60, -10, -90), (70, 70, 70)), LIVER),
        (ellipsoid(p, (0, -62, 0), (20, 18, inf)), LIVER),
        (length(p[:2] - vector((-24, -44), p[:2])) - 11, BLOOD),
        (torch.minimum(cavity - WALL_MM - 5, right * scale - 6), FAT),
        (right * scale - 3, MUSCLE),
        (right * scale, BLOOD),
        (cavity - WALL_MM, MUSCLE),
        (cavity, BLOOD),
        (torch.minimum(*papillary), MUSCLE),
    )
    width = VIEW_MM / p.shape[-1]
    image = torch.full_like(p[0], LUNG / 2)
    for distance, value in solids:
        image = torch.lerp(image, torch.full_like(image, value), coverage(distance, width))
    labels = torch.zeros_like(p[0], dtype=torch.int32)
    labels[right < 0] = 1
    labels[cavity < WALL_MM] = 2
    labels[cavity < 0] = 3
    return image * (1 + 0.12 * texture), labels
