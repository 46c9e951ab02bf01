"""A thorax at rest in Hounsfield units, with vessels, airways and texture."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from .body import FIELD_OF_VIEW_MM, Body
from .shapes import centred_grid, coverage, ellipsoid, random_texture
from .tree import Branch, grow_tree, tube_fraction

FINEST_LATTICE_MM = 2.0
AIR, LUNG, FAT, MUSCLE, BLOOD, LIVER, MARROW, CORTEX = -1000, -860, -95, 48, 40, 62, 300, 750
ORGANS = {
    "spleen": ((-88, -34, -98), (30, 36, 40), 52),
    "stomach": ((-56, 14, -98), (42, 40, 38), 20),
    "right_kidney": ((58, -44, -150), (26, 22, 46), 34),
    "left_kidney": ((-58, -44, -150), (26, 22, 46), 34),
}
GAS = ((-56, 42, -98), (32, 14, 28))
CARINA = np.array([0.0, -16.0, 60.0])
LARYNX = np.array([0.0, -10.0, 170.0])
LIVER_HILUM = np.array([18.0, 0.0, -85.0])
LUNG_HILA = {1: np.array([36.0, -12.0, 37.0]), -1: np.array([-38.0, -15.0, 35.0])}


class Anatomy:
    """Continuous image of one body.

    Args:
        body: its solids.
        rng: draws vessels, airways and texture.
        voxel_mm: size of the voxels it will be sampled with; edges are as wide as one voxel.
    """

    def __init__(self, body: Body, rng: np.random.Generator, voxel_mm: float) -> None:
        self.body = body
        self.voxel_mm = voxel_mm
        lattice = centred_grid(FIELD_OF_VIEW_MM, max(FINEST_LATTICE_MM, voxel_mm / 2))
        vessels, airways = self._grow(rng)
        self.bifurcations = np.stack([branch.end for branch in vessels])
        walls = [Branch(b.start, b.end, (b.radii[0] + 1.5, b.radii[1] + 1.5)) for b in airways]
        self.vessels = tube_fraction([*vessels, *walls], lattice, voxel_mm)
        self.airways = tube_fraction(airways, lattice, voxel_mm)
        self.texture = random_texture(centred_grid(FIELD_OF_VIEW_MM, 4.0), 6.0, rng)

    def _grow(self, rng: np.random.Generator) -> tuple[list[Branch], list[Branch]]:
        """Vessels of liver and lungs; trachea and bronchi."""
        half = np.asarray(FIELD_OF_VIEW_MM) / 2
        points = rng.uniform(-half, half, (16000, 3))
        solids = self.body.solids(torch.from_numpy(points.T))
        in_lung = points[(solids["lung"] < -4).numpy()]
        in_liver = points[(solids["liver"] < -5).numpy()]
        vessels = grow_tree(LIVER_HILUM, in_liver[:250], (7.0, 1.5))
        airways = [Branch(LARYNX, CARINA, (8.0, 7.5))]
        for side, hilum in LUNG_HILA.items():
            targets = in_lung[side * in_lung[:, 0] > 0][:1000]
            bronchus = hilum - (0, 6, 4)
            vessels += grow_tree(hilum, targets, (7.5, 1.2))
            airways.append(Branch(CARINA, bronchus, (7.0, 5.5)))
            airways += grow_tree(bronchus, targets[:60], (4.5, 1.0), 6)
        return vessels, airways

    def hounsfield(self, p: torch.Tensor, solids: dict[str, torch.Tensor]) -> torch.Tensor:
        """HU at ``p`` (3, ...), given ``Body.solids`` there."""
        inside = partial(coverage, width=self.voxel_mm)
        texture = self.texture(p)
        body, cavity, bone = solids["body"], solids["cavity"], solids["bone"]
        hu = torch.full_like(body, AIR)

        def paint(fraction: torch.Tensor, value: float | torch.Tensor, grain: float) -> None:
            hu.lerp_(value + grain * texture, fraction)

        paint(inside(body), MUSCLE, 10)
        paint(inside(body + 2.5), FAT, 12)
        muscle = torch.minimum(body + self.body.fat + 2.5 + 2 * texture, cavity - 12)
        paint(inside(muscle), MUSCLE, 14)
        paint(inside(cavity), FAT, 15)
        paint(inside(solids["great_vessels"]), BLOOD, 4)
        paint(inside(solids["heart"] - 3), FAT, 10)
        paint(inside(solids["heart"]), BLOOD + 4, 12)
        for centre, radii, value in ORGANS.values():
            organ = torch.maximum(ellipsoid(p, centre, radii), 5 - solids["above"])
            paint(inside(torch.maximum(organ, cavity + 5)), value, 8)
        paint(inside(ellipsoid(p, *GAS)), AIR, 0)
        paint(inside(torch.maximum(solids["above"].abs() - 2.5, cavity)), MUSCLE, 5)
        paint(inside(solids["liver"]), LIVER, 8)
        paint(inside(solids["lung"]), LUNG - 0.35 * p[1], 25)
        vessels = self.vessels(p)
        paint(vessels * inside(torch.minimum(solids["lung"], solids["liver"]) - 4), BLOOD, 0)
        paint(self.airways(p), AIR, 0)
        paint(inside(bone), CORTEX, 60)
        paint(inside(bone + 2.5), MARROW, 60)
        return hu
