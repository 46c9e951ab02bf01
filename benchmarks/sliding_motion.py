"""Moves the organs of a liver MR scan on, as breathing does: along the wall, the wall left alone.

The scan is `dataset19` of the liver MR data. What is known of its anatomy stands in
`sliding_outlines.json`, drawn by hand on the exhale scan, in voxels: the outline of the liver,
(i, j) on some sagittal slices k, and the inner wall of chest and belly, (j, front i, back i).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.engine.distance import signed_distance_mm
from ElasticHyperRegLib.grid import gaussian_smooth, map_points, sample
from ElasticHyperRegLib.types import Grid, Image, LabelMap

OUTLINES = Path(__file__).with_name("sliding_outlines.json")
MOVING_ROWS = (60, 150)
"""Between these rows j the organs move as far as told; towards either end less and less."""
ROUGH_VOX = (14.0, 14.0, 3.0)
"""Standard deviation (i, j, k) of the Gaussian that makes the deformations smooth."""
NEAR_WALL_VOX = 12.0
NOISE = 3.0
STEPS, RELAXATION, CLOSE_VOX = 60, 0.7, 0.05


@dataclass(frozen=True)
class Motion:
    """How the organs move on, in mm; a tilt and a shift move all of the patient.

    Args:
        name: of the motion.
        down: towards the feet.
        left: towards the patient's left.
        back: towards the back.
        rough: standard deviation of a smooth random deformation; in the wall half of it.
        tilt_degrees: of the patient about the left-right axis.
        shift: of the patient along (i, j, k).
        seed: of everything random.
    """

    name: str
    down: float
    left: float = 0.0
    back: float = 0.0
    rough: float = 2.0
    tilt_degrees: float = 0.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: int = 0


MOTIONS = (
    Motion("down_8", 8, left=2, back=-2, tilt_degrees=1, shift=(2, 1, 1), seed=1),
    Motion("down_14", 14, left=-2, back=-3, tilt_degrees=-2, shift=(2, 2, -2), seed=2),
    Motion("down_20", 20, left=3, back=2, tilt_degrees=2, shift=(-3, 0, 2), seed=3),
    Motion("down_25", 25, back=-4, tilt_degrees=-1, shift=(1, -2, 0), seed=4),
    Motion("up_16", -16, back=3, tilt_degrees=1, shift=(0, 2, 1), seed=5),
    Motion("block_10_left_5", 10, left=5, rough=0, seed=6),
)
"""Mean motion of the liver's landmarks 10 to 30 mm together with what the patient did."""


def drawn_liver(grid: Grid) -> LabelMap:
    """The liver as it is drawn, between the slices by interpolation of the distance to it."""
    from matplotlib.path import Path as Outline

    drawn = {int(k): points for k, points in _outlines()["liver"].items()}
    i, j = np.meshgrid(np.arange(grid.shape[2]), np.arange(grid.shape[1]))
    centres = np.column_stack([i.ravel(), j.ravel()])
    plane = Grid.from_spacing((1, *grid.shape[1:]), grid.spacing)
    layers = []
    for points in drawn.values():
        inside = Outline(points).contains_points(centres).reshape(1, 1, *plane.shape)
        layers.append(signed_distance_mm(torch.from_numpy(inside), plane)[0, 0, 0].numpy())
    distance = _between(np.array(list(drawn)), np.stack(layers), grid.shape[0])
    data = torch.from_numpy((distance < 0).astype(np.int32))[None, None]
    return LabelMap(data, grid, {1: "liver"}, "drawn liver")


class Mover:
    """A ``Motion`` on ``grid``: new places of the moving scan → where they were before."""

    def __init__(self, motion: Motion, grid: Grid) -> None:
        self._motion, self._grid = motion, grid
        self._front, self._back = _wall(grid)
        j = np.arange(grid.shape[1], dtype=float)
        first, last = MOVING_ROWS
        self._share = np.clip(np.minimum(j / first, 1 - (j - last) / first), 0, 1)
        self._random = np.random.default_rng(motion.seed)
        self._organs = self._rough(motion.rough)
        self._body = self._rough(motion.rough / 2)

    def image(self, image: Image) -> Image:
        """``image`` moved on, with some noise."""
        indices = np.indices(self._grid.shape, dtype=np.float64)[::-1].reshape(3, -1)
        before = torch.from_numpy(self.before(indices).astype(np.float32))
        places = before.reshape(1, 3, *self._grid.shape)
        values = sample(image.data, places, fill=0.0)
        noise = torch.from_numpy(self._random.standard_normal(self._grid.shape)).float()
        moved = (values + NOISE * noise * (values > 0)).clamp(0, 255)
        return Image(moved, self._grid, image.name, image.dtype)

    def points(self, points: np.ndarray, of_organs: bool) -> np.ndarray:
        """Landmarks (P, 3) RAS mm, moved on; those of no organ move with what they lie in."""
        ijk = map_points(self._grid.ras_to_ijk, points).T
        organs = np.ones(ijk.shape[1], bool) if of_organs else self._within(ijk)
        found = ijk.copy()
        for _ in range(STEPS):
            found -= RELAXATION * (self.before(found, organs) - ijk)
        if np.abs(self.before(found, organs) - ijk).max() > CLOSE_VOX:
            raise RuntimeError(f"{self._motion.name}: a landmark that the motion folds away")
        return map_points(self._grid.ijk_to_ras, found.T)

    def before(self, ijk: np.ndarray, organs: np.ndarray | None = None) -> np.ndarray:
        """(3, P) voxels → (3, P): where the same tissue was; ``organs`` says which are organs."""
        motion, spacing = self._motion, np.array(self._grid.spacing)[:, None]
        middle = np.array(self._grid.size)[:, None] / 2
        cos, sin = np.cos(np.deg2rad(motion.tilt_degrees)), np.sin(np.deg2rad(motion.tilt_degrees))
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        body = turn @ ((ijk - middle) * spacing) / spacing + middle
        body += np.array(motion.shift)[:, None] / spacing
        organs = self._within(body) if organs is None else organs
        share = np.interp(body[1], np.arange(self._grid.shape[1]), self._share)
        rough = self._at(self._organs, body)
        front, back = self._borders(body)
        there = body + rough / spacing
        there[1] += motion.down * share / spacing[1]
        there[2] -= motion.left * share / spacing[2]
        # Across the trunk a place keeps its share of the way from wall to wall.
        new_front, new_back = self._borders(there)
        across = (body[0] - front) / (back - front)
        near = np.clip(np.minimum(body[0] - front, back - body[0]) / NEAR_WALL_VOX, 0, 1)
        there[0] = new_front + across * (new_back - new_front)
        there[0] += near * (rough[0] - motion.back * share) / spacing[0]
        return np.where(organs, there, body + self._at(self._body, body) / spacing)

    def _within(self, ijk: np.ndarray) -> np.ndarray:
        front, back = self._borders(ijk)
        return (ijk[0] > front) & (ijk[0] < back)

    def _borders(self, ijk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = np.stack([np.zeros_like(ijk[0]), ijk[1], ijk[2]])
        return self._at(self._front, places)[0], self._at(self._back, places)[0]

    def _at(self, values: torch.Tensor, ijk: np.ndarray) -> np.ndarray:
        """(1, C, K, J, I) at (3, P) voxels → (C, P)."""
        places = torch.from_numpy(ijk)[None, :, None, None]
        return sample(values, places)[0, :, 0, 0].numpy()

    def _rough(self, size_mm: float) -> torch.Tensor:
        """A smooth random deformation in mm, (1, 3, *shape)."""
        white = torch.from_numpy(self._random.standard_normal((1, 3, *self._grid.shape)))
        smooth = gaussian_smooth(white.float(), ROUGH_VOX)
        return (size_mm * smooth / smooth.std()).double()


@cache
def _outlines() -> dict[str, dict[str, list[list[float]]]]:
    return dict(json.loads(OUTLINES.read_text(encoding="utf-8")))


def _wall(grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """Front and back of the room of the organs, (1, 1, K, J, 1) voxels i."""
    drawn = {int(k): np.array(rows, float) for k, rows in _outlines()["wall"].items()}
    j = np.arange(grid.shape[1])
    found = []
    for column in (1, 2):
        lines = [np.interp(j, rows[:, 0], rows[:, column]) for rows in drawn.values()]
        table = _between(np.array(list(drawn)), np.stack(lines), grid.shape[0])
        smooth = gaussian_smooth(torch.from_numpy(table)[None, None], (4.0, 0.0))
        found.append(smooth[..., None])
    return found[0], found[1]


def _between(where: np.ndarray, layers: np.ndarray, count: int) -> np.ndarray:
    """``layers`` at the slices ``where`` → all ``count`` slices, linearly; the ends go on."""
    after = np.clip(np.searchsorted(where, np.arange(count)), 1, len(where) - 1)
    low, high = where[after - 1], where[after]
    part = (np.arange(count) - low) / (high - low)
    part = part.clip(max=1).reshape(-1, *([1] * (layers.ndim - 1)))
    return (1 - part) * layers[after - 1] + part * layers[after]
