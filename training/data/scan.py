"""Scans as a network sees them: intensities of order 1 on one lattice along R, A, S."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.alignment import enlargement
from ElasticHyperRegLib.engine.intensity import field_of_view, normalised, without_padding
from ElasticHyperRegLib.engine.network_field import windowed
from ElasticHyperRegLib.engine.network_grid import towards_ras
from ElasticHyperRegLib.engine.prepare import RIM_MM, with_margin
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.grid import (
    apply_matrix,
    coarser,
    map_points,
    resample,
    sample,
    voxel_points,
)
from ElasticHyperRegLib.io import read_image, read_labels
from ElasticHyperRegLib.tissues import load_scheme
from ElasticHyperRegLib.types import Grid, LabelMap

from .pair import PairSample, Window
from .prepare import require_grid

PointReader = Callable[[Path, Grid], np.ndarray]
"""File and grid of its image → (P, D) RAS mm."""


@dataclass(frozen=True)
class Reading:
    """How the files of scans are read.

    Args:
        points: reader of landmarks.
        scheme: tissue scheme that the labels are mapped by; "" leaves them.
        window: lowest and highest intensity, taken to 0 and 1, as the model's card says; None
            takes each image's own, as ``engine.intensity.normalised`` does.
        numbers: the label n of a file is the n-th of these to the scheme; () leaves them.
    """

    points: PointReader
    scheme: str = ""
    window: Window = None
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lattice:
    """Where the pairs of a source live.

    Args:
        spacing_mm: along i, j, k, or one number for all; 0 keeps that of the scans.
        size: voxels along i, j, k about the centre of the scan; () keeps all of it.

    Raises:
        InputError: not positive, or not one number an axis.
    """

    spacing_mm: float | tuple[float, ...] = 0.0
    size: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        spacing = self.spacing_mm if isinstance(self.spacing_mm, tuple) else ()
        if self.spacing_mm != 0 and (len(spacing) not in (0, 3) or min(self._spacings()) <= 0):
            raise InputError(f"a spacing of {self.spacing_mm} mm", "one or three positive numbers")
        if self.size and (len(self.size) != 3 or min(self.size) < 1):
            raise InputError(f"a size of {self.size}", "three positive numbers of voxels")

    def _spacings(self) -> tuple[float, ...]:
        given = self.spacing_mm
        return given if isinstance(given, tuple) else (float(given),) * 3

    def over(self, grid: Grid) -> Grid:
        """The lattice about the centre of ``grid``, its axes as near to R, A, S as those allow."""
        base = towards_ras(grid)
        spacing = np.asarray(self._spacings() if self.spacing_mm else base.spacing)
        extent = np.asarray(base.size) * np.asarray(base.spacing)
        size = np.asarray(self.size or np.maximum(1, np.rint(extent / spacing).astype(int)))
        centre = (base.ijk_to_ras @ np.append((np.asarray(base.size) - 1) / 2, 1))[:3]
        axes = base.direction * spacing
        matrix = np.eye(4)
        matrix[:3, :3] = axes
        matrix[:3, 3] = centre - axes @ ((size - 1) / 2)
        return Grid(tuple(int(n) for n in size[::-1]), matrix)


@dataclass(frozen=True)
class ScanFiles:
    """What belongs to one scan; only the image must be there."""

    image: Path
    labels: Path | None = None
    mask: Path | None = None
    points: Path | None = None


@dataclass(frozen=True, eq=False)
class Volume:
    """One scan as it was read.

    Attributes:
        data: (1, 1, K, J, I), 0 to 1.
        grid: of the file.
        labels: tissues, or None.
        mask: the one given, or None.
        seen: what the scanner saw, (1, 1, K, J, I) bool, or None for everything.
        points: (P, 3) RAS mm, or None.
        path: of the image.
    """

    data: torch.Tensor
    grid: Grid
    labels: LabelMap | None
    mask: LabelMap | None
    seen: torch.Tensor | None
    points: np.ndarray | None
    path: Path

    def around_mask(self, margin_mm: float) -> torch.Tensor | None:
        """What was seen within ``margin_mm`` of the mask, as in use; ``None`` for everything."""
        return with_margin(self.mask, margin_mm / enlargement(self.grid), self.seen)


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan on its lattice, small enough to keep many of them in memory.

    Attributes:
        image: (*shape) float16.
        labels: (*shape) small integers, or None.
        mask: (*shape) bool, or None.
        points: (P, D) float32 voxels i, j, k, or None.
    """

    image: np.ndarray
    labels: np.ndarray | None = None
    mask: np.ndarray | None = None
    points: np.ndarray | None = None


def read_volume(files: ScanFiles, reading: Reading) -> Volume:
    """Read one scan, its intensities as a model sees them in use.

    Raises:
        InputError: a file is missing, damaged or not what it should be; labels or mask do not lie
            on the grid of the image; a label belongs to no tissue of the scheme.
    """
    image = read_image(files.image)
    labels = _map_of(files.labels, files.image, image.grid)
    mask = _map_of(files.mask, files.image, image.grid)
    if labels is not None and reading.scheme:
        labels = load_scheme(reading.scheme).apply(_renumbered(labels, reading.numbers))
    points = None if files.points is None else reading.points(files.points, image.grid)
    clean = without_padding(image)
    return Volume(
        windowed(clean.data, reading.window) if reading.window else normalised(clean),
        image.grid,
        labels,
        mask,
        field_of_view(image),
        points,
        files.image,
    )


def _map_of(path: Path | None, image_path: Path, grid: Grid) -> LabelMap | None:
    if path is None:
        return None
    labels = read_labels(path)
    require_grid(labels.grid, grid, path, image_path)
    return labels


def _renumbered(labels: LabelMap, numbers: tuple[int, ...]) -> LabelMap:
    """``labels`` with the n-th of ``numbers`` in place of n."""
    if not numbers:
        return labels
    if (largest := int(labels.data.max())) >= len(numbers):
        raise InputError(f"{labels.name}: a label {largest}", f"0 to {len(numbers) - 1}")
    return LabelMap(torch.tensor(numbers)[labels.data.long()].int(), labels.grid, {}, labels.name)


def place(volume: Volume, lattice: Grid, matrix: np.ndarray | None = None) -> Scan:
    """``volume`` on ``lattice``, its lowest value where it does not reach.

    Args:
        matrix: (4, 4) RAS mm, points of ``lattice`` → points of ``volume`` (an alignment);
            None leaves them where they are.

    Raises:
        InputError: nothing of the mask was seen by the scanner.
    """
    through = np.eye(4) if matrix is None else matrix
    image = on_lattice(volume.data, volume.grid, lattice, through)
    labels = mask = points = None
    if volume.labels is not None:
        found = on_lattice(volume.labels.data, volume.grid, lattice, through, nearest=True)
        labels = found.astype(np.min_scalar_type(int(volume.labels.data.max())))
    compared = volume.around_mask(RIM_MM)
    if compared is not None:
        if not bool(compared.any()):
            raise InputError(
                f"a mask that lies outside the field of view of {volume.path}",
                "some voxels that the scanner saw",
            )
        mask = on_lattice(compared, volume.grid, lattice, through, nearest=True) > 0
    if volume.points is not None:
        to_lattice = lattice.ras_to_ijk @ np.linalg.inv(through)
        points = map_points(to_lattice, volume.points).astype(np.float32)
    return Scan(image.astype(np.float16), labels, mask, points)


def on_lattice(
    data: torch.Tensor, grid: Grid, lattice: Grid, matrix: np.ndarray, nearest: bool = False
) -> np.ndarray:
    """``data`` (1, 1, *grid.shape) at ``matrix`` of the points of ``lattice``, (*lattice.shape).

    Where it does not reach stand the lowest intensity, as in use, and no label.
    """
    data, fill = data.float(), 0.0
    if not nearest:
        working = coarser(grid, tuple(np.maximum(grid.spacing, min(lattice.spacing))))
        data, grid = resample(data, grid, working), working
        fill = float(data.min())
    to_grid = grid.ras_to_ijk @ matrix @ lattice.ijk_to_ras
    points = apply_matrix(to_grid, voxel_points(lattice.shape, data))
    mode = "nearest" if nearest else "bilinear"
    return sample(data, points, mode, fill)[0, 0].numpy()


def pair_of(fixed: Scan, moving: Scan, patient: str) -> PairSample:
    """Two scans on one lattice as a pair; each keeps what it has, but landmarks come in pairs."""

    def tensor(array: np.ndarray | None, kind: type) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array.astype(kind))[None]

    images = [torch.from_numpy(scan.image.astype(np.float32))[None] for scan in (fixed, moving)]
    points = [None if p is None else torch.from_numpy(p) for p in (fixed.points, moving.points)]
    paired = all(p is not None for p in points)
    return PairSample(
        images[0],
        images[1],
        tensor(fixed.labels, np.int64),
        tensor(moving.labels, np.int64),
        None,
        patient,
        tensor(fixed.mask, np.bool_),
        tensor(moving.mask, np.bool_),
        points[0] if paired else None,
        points[1] if paired else None,
    )


def require_same_points(fixed: Scan, moving: Scan, where: str) -> None:
    """Refuse landmarks that do not come in pairs; ``where`` is named in the message."""
    if fixed.points is not None and moving.points is not None:
        counts = len(fixed.points), len(moving.points)
        if counts[0] != counts[1]:
            raise InputError(
                f"{where}: {counts[0]} fixed and {counts[1]} moving landmarks",
                "one moving point for each fixed one",
                "check the files of points",
            )
