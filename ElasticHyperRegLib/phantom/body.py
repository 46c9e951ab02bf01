"""The solids of a thorax at rest (exhale), as continuous functions of position.

Frame: R, A, S mm about the centre of the field of view, as in ``shapes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import inf

import numpy as np
import torch

from .shapes import bump, capsule, ellipsoid, smooth_max

TISSUES = {0: "background", 1: "soft_tissue", 2: "lung", 3: "bone", 4: "heart", 5: "liver"}
RIB_PITCH_MM = 24.0
LOWEST_RIB, HIGHEST_RIB = -4, 5
FIELD_OF_VIEW_MM = (332.8, 256.0, 307.2)
# Long axis to the left, forwards and down; the QR step makes the three directions orthonormal.
HEART_AXES = np.linalg.qr(np.array([[-0.72, 0.5, -0.48], [0.56, 0.82, 0.1], [0, 0, 1]]).T)[0].T

Course = tuple[tuple[float, float, float], ...]
AORTA: Course = (
    (-4, 14, 8),
    (6, 16, 48),
    (2, 2, 66),
    (-14, -22, 68),
    (-20, -38, 46),
    (-18, -42, -250),
)
CAVA: Course = ((24, 8, 8), (24, 8, 66), (30, 6, 120))
RIGHT_PULMONARY: Course = ((-16, 28, 12), (-14, 10, 40), (34, -10, 38))
LEFT_PULMONARY: Course = ((-14, 10, 40), (-36, -14, 36))
GREAT_VESSELS = ((AORTA, 12.5), (CAVA, 9.0), (RIGHT_PULMONARY, 10.0), (LEFT_PULMONARY, 10.0))


@dataclass(frozen=True)
class Body:
    """Sizes and positions in mm (``liver_size`` and ``heart_size`` are factors)."""

    chest: tuple[float, float, float]
    wall: float
    fat: float
    dome: float
    right_dome: float
    heart: tuple[float, float, float]
    heart_size: float
    liver_size: float
    mediastinum: float
    rib_phase: float
    rib_drop: float

    @classmethod
    def draw(cls, rng: np.random.Generator, variation: float) -> Body:
        """A body that departs from the mean one by a part that grows with ``variation``."""

        def vary(mean: float, spread: float) -> float:
            return mean + variation * spread * float(rng.uniform(-1, 1))

        return cls(
            chest=(vary(126, 6), vary(83, 5), vary(112, 6)),
            wall=vary(24, 2),
            fat=vary(9, 3),
            dome=vary(56, 6),
            right_dome=vary(8, 3),
            heart=(vary(-26, 5), vary(22, 5), vary(-14, 5)),
            heart_size=vary(1, 0.1),
            liver_size=vary(1, 0.08),
            mediastinum=vary(22, 3),
            rib_phase=vary(0, 8),
            rib_drop=vary(58, 8),
        )

    @property
    def spine_front(self) -> float:
        """A position of the centre of the vertebral bodies."""
        return 24 - self.chest[1]

    def surface(self, p: torch.Tensor) -> torch.Tensor:
        """The skin."""
        return ellipsoid(p, (0, 2, 0), (self.chest[0] + self.wall, self.chest[1] + self.wall, inf))

    def cavity(self, p: torch.Tensor) -> torch.Tensor:
        """Inside of the rib cage: a cylinder with half an ellipsoid on top."""
        return ellipsoid(torch.stack([p[0], p[1], (p[2] - 10).clamp(min=0)]), (0, 2, 0), self.chest)

    def dome_height(self, p: torch.Tensor) -> torch.Tensor:
        """S of the diaphragm at the R, A of each point."""
        k = (p[0] / self.chest[0]).square() + ((p[1] - 2) / self.chest[1]).square()
        side = self.right_dome * torch.tanh(p[0] / 40) - 9 * bump(p[0], -4, 28)
        return 0.25 * p[1] - 96 + self.dome * (1 - k).clamp(min=0).sqrt() + side

    def rib_course(self, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Angle about the chest (0 spine, π sternum) and height in ribs, constant along a rib."""
        angle = torch.atan2(p[0].abs() / self.chest[0], (2 - p[1]) / self.chest[1])
        drop = self.rib_drop * (1 - torch.cos(angle)) / 2
        return angle, (p[2] + drop - self.rib_phase) / RIB_PITCH_MM

    def ribs(self, p: torch.Tensor, cavity: torch.Tensor) -> torch.Tensor:
        """Ten pairs of ribs around the cavity, sloping down to the front."""
        angle, height = self.rib_course(p)
        rib = height.round().clamp(LOWEST_RIB, HIGHEST_RIB)
        across = torch.stack([cavity - 7, (height - rib) * RIB_PITCH_MM * 0.88, 0 * rib])
        end = (2.5 + 0.2 * rib).clamp(max=2.5)
        ring = ellipsoid(across, (0, 0, 0), (3.8, 6.5, inf))
        return smooth_max(ring, 100 * torch.maximum(angle - end, 0.16 - angle), 4)

    def scapulae(self, p: torch.Tensor, cavity: torch.Tensor) -> torch.Tensor:
        """Two thin plates behind the upper ribs."""
        angle, _ = self.rib_course(p)
        outline = smooth_max(110 * (angle - 0.85).abs() - 32, (p[2] - 50).abs() - 50, 20)
        return smooth_max(outline, (cavity - 17).abs() - 2.5, 3)

    def sternum(self, p: torch.Tensor) -> torch.Tensor:
        """Flat bone in front, leaning back at the top."""
        lean = 0.2 * (p[2] - 10).clamp(min=0)
        front = torch.stack([p[0], p[1] + lean, p[2]])
        return ellipsoid(front, (0, self.chest[1] + 10, -2), (18, 6, 76))

    def column(self, p: torch.Tensor) -> torch.Tensor:
        """Vertebral bodies and discs."""
        return ellipsoid(p, (0, self.spine_front, 0), (18, 15, inf))

    def vertebrae(self, p: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        """The column with its arches and spinous processes, the canal left open."""
        canal = ellipsoid(p, (0, self.spine_front - 21, 0), (8, 7, inf))
        arch = ellipsoid(p, (0, self.spine_front - 22, 0), (13, 11, inf))
        level = torch.remainder(p[2] - self.rib_phase, RIB_PITCH_MM) - RIB_PITCH_MM / 2
        process = torch.stack([p[0], p[1], level])
        spinous = ellipsoid(process, (0, self.spine_front - 37, 0), (4, 10, 9))
        transverse = ellipsoid(process, (0, self.spine_front - 16, 0), (30, 6, 7))
        arches = torch.maximum(reduce(torch.minimum, [arch, spinous, transverse]), -canal)
        return torch.minimum(smooth_max(column, level.abs() - 9.5, 4), arches)

    def solids(self, p: torch.Tensor) -> dict[str, torch.Tensor]:
        """Signed pseudo-distances (...) in mm of every solid at ``p`` (3, ...)."""
        cavity, column = self.cavity(p), self.column(p)
        above = self.dome_height(p) - p[2]
        centre, size = self.heart, self.heart_size
        heart = ellipsoid(p, centre, (60 * size, 43 * size, 40 * size), HEART_AXES)
        heart = smooth_max(heart, above + 2, 8)
        middle = self.mediastinum - 0.003 * p[1].square() + 9 * bump(p[2], 34, 24)
        great = reduce(torch.minimum, [tube(p, course, r) for course, r in GREAT_VESSELS])
        lung = smooth_max(smooth_max(cavity + 3, above + 3, 10), middle - (p[0] + 3).abs(), 16)
        for organ in (heart, column, great):
            lung = smooth_max(lung, 3 - organ, 8)
        extent = (96 * self.liver_size, 78 * self.liver_size, 70 * self.liver_size)
        liver = smooth_max(ellipsoid(p, (52, 10, -82), extent), cavity + 6, 20)
        liver = smooth_max(smooth_max(liver, 3 - above, 8), 8 - column, 10)
        bones = [self.vertebrae(p, column), self.ribs(p, cavity), self.sternum(p)]
        bone = reduce(torch.minimum, [*bones, self.scapulae(p, cavity)])
        return {
            "body": self.surface(p),
            "cavity": cavity,
            "above": above,
            "lung": lung,
            "heart": heart,
            "great_vessels": great,
            "liver": liver,
            "bone": bone,
        }


def tube(p: torch.Tensor, course: Course, radius: float) -> torch.Tensor:
    """Tube of constant radius through the points of ``course``."""
    pairs = zip(course[:-1], course[1:], strict=True)
    return reduce(torch.minimum, [capsule(p, a, b, (radius, radius)) for a, b in pairs])


def labels_of(solids: dict[str, torch.Tensor]) -> torch.Tensor:
    """Tissue numbers (keys of ``TISSUES``), int32, at the points of ``solids``."""
    labels = (solids["body"] < 0).to(torch.int32)
    for number in (2, 4, 5, 3):  # bone last: it wins
        labels[solids[TISSUES[number]] < 0] = number
    return labels
