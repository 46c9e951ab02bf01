"""Initial alignment of two frames: translation, rigid or affine, by SimpleITK.

SimpleITK is handed RAS geometry as its physical space, so its transforms come out in RAS and no
sign is flipped here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock

import numpy as np
import SimpleITK as sitk
import torch

from .errors import Cancelled, InputError
from .grid import coarser, resample
from .types import Grid

KINDS = ("none", "translation", "rigid", "affine")
RESOLUTIONS_MM = {"translation": (12.0, 6.0), "rigid": (12.0, 6.0), "affine": (6.0, 3.0)}
"""Each stage begins where the one before it ended, so the last alone sees detail."""
FINEST_MM, LOOK_MM = 3.0, 6.0
"""Voxels of the images that are aligned in detail, and of those by which two answers are compared
and that are aligned without it: SimpleITK goes over a whole image each time."""
BODY_MM = 128.0
"""An object whose longest side is shorter is enlarged to this, for which all lengths are meant."""
FEWEST = 8
"""Voxels along an axis below which it is not made coarser."""
SAMPLES = 20_000
STEPS_MM = (2.0, 0.5)
"""First step of the descent, and of another try where it has run away."""
RUNAWAY = 0.95
"""Share of the mutual information that a stage must keep; noise alone costs a hundredth."""

Side = tuple[torch.Tensor, Grid, torch.Tensor | None]
"""An image (1, 1, *shape), its grid, and the mask of voxels that count (or ``None``)."""


@dataclass(frozen=True, eq=False)
class _Scans:
    """The fixed and the moving image and their masks, about as fine as each other."""

    images: list[sitk.Image]
    masks: list[sitk.Image | None]


@dataclass(frozen=True, eq=False)
class _Found:
    """A linear map, (D+1, D+1), and how unlike the images are under it."""

    matrix: np.ndarray
    difference: float


def align(
    kind: str,
    fixed: Side,
    moving: Side,
    seed: int = 0,
    cancelled: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Linear map of fixed points onto moving points, (D+1, D+1) RAS mm.

    Starts from whichever of three translations (none, centre on centre, mass on mass) is most
    alike, then refines by mutual information, first at 12 mm, an affine map up to 3 mm. A stage
    that ends less alike than it began, as a descent that runs away does, leaves the matrix as it
    was.

    Args:
        kind: ``none`` leaves the frames alone; ``translation``, ``rigid`` or ``affine``.
        fixed: image, grid and mask.
        moving: likewise.
        seed: of the metric's sampling.

    Raises:
        InputError: ``kind`` is unknown.
    """
    dim = fixed[1].ndim
    if kind not in KINDS:
        raise InputError(f"initial alignment '{kind}'", f"one of {', '.join(KINDS)} or a file")
    if kind == "none":
        return np.eye(dim + 1)
    enlarged = enlargement(fixed[1], moving[1])
    sides = [_enlarged(side, enlarged) for side in (fixed, moving)]
    looks = _at(sides, LOOK_MM)
    with _one_thread():
        found = _best_start(looks, seed)
        for stage in KINDS[1 : KINDS.index(kind) + 1]:
            if cancelled():
                raise Cancelled("the registration was cancelled")
            scans = _at(sides, FINEST_MM) if RESOLUTIONS_MM[stage][-1] < LOOK_MM else looks
            found = _refine(stage, found, scans, looks, seed)
    found.matrix[:dim, dim] /= enlarged
    return found.matrix


def enlargement(*grids: Grid) -> float:
    """How many times smaller than a body the smallest of some images is; 1 of all larger ones."""
    return max(1.0, BODY_MM / min(float(max(_extent(grid))) for grid in grids))


def _extent(grid: Grid) -> np.ndarray:
    """Length of the sides, mm."""
    return np.asarray(grid.size) * np.asarray(grid.spacing)


def _enlarged(side: Side, factor: float) -> Side:
    """The same voxels, so many times as large, farther from the origin likewise."""
    data, grid, mask = side
    matrix = grid.ijk_to_ras.copy()
    matrix[:-1] *= factor
    return data, Grid(grid.shape, matrix), mask


def _at(sides: list[Side], finest_mm: float) -> _Scans:
    """Both sides on voxels no finer than ``finest_mm``, as far as they have enough of them.

    Voxels count that lie in the mask by half, or of a mask thinner than them by half of the most.
    """
    images, masks = [], []
    for data, grid, mask in sides:
        wanted = np.minimum(finest_mm, _extent(grid) / FEWEST)
        working = coarser(grid, tuple(np.maximum(grid.spacing, wanted)))
        images.append(_as_sitk(resample(data, grid, working), working))
        share = None if mask is None else resample(mask.float(), grid, working)
        inside = None if share is None else _as_sitk(share > share.max() / 2, working)
        masks.append(inside)
    return _Scans(images, masks)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads come out in another order each time, and so another matrix.

    SimpleITK's number is one for the whole process: the last of several alignments restores it,
    as the first number found is the last to be taken back, whoever ends first.
    """
    with _lock:
        _found.append(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        with _lock:
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(_found.pop())


_lock = Lock()
_found: list[int] = []


def _as_sitk(data: torch.Tensor, grid: Grid) -> sitk.Image:
    array = data[0, 0].cpu().numpy()
    image = sitk.GetImageFromArray(array.astype(np.uint8 if array.dtype == bool else np.float32))
    image.SetSpacing(grid.spacing)
    image.SetOrigin(tuple(float(v) for v in grid.origin))
    image.SetDirection(tuple(float(v) for v in grid.direction.ravel()))
    return image


def _method(masks: list[sitk.Image | None]) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(sitk.sitkLinear)
    # Slopes are taken where the samples lie. Those of the whole images, as by default, are smoothed
    # by a voxel, belong to other images than are compared, and take a fifth of the time.
    method.MetricUseFixedImageGradientFilterOff()
    method.MetricUseMovingImageGradientFilterOff()
    if masks[0] is not None:
        method.SetMetricFixedMask(masks[0])
    if masks[1] is not None:
        method.SetMetricMovingMask(masks[1])
    return method


def _best_start(scans: _Scans, seed: int) -> _Found:
    """Of no, centre-on-centre and mass-on-mass translation, the most alike."""
    images, masks = scans.images, scans.masks
    dim = images[0].GetDimension()
    starts = [np.zeros(dim), _centre(images[1]) - _centre(images[0])]
    weights = [m if m is not None else i - _minimum(i) for i, m in zip(images, masks, strict=True)]
    starts.append(_mass(weights[1]) - _mass(weights[0]))
    scored: list[tuple[float, int]] = []
    for shift in starts:
        transform = sitk.TranslationTransform(dim, shift.tolist())
        scored.append((_difference(transform, scans, seed), len(scored)))
    matrix = np.eye(dim + 1)
    difference, best = min(scored)
    matrix[:dim, dim] = starts[best]
    return _Found(matrix, difference)


def _fraction(fixed: sitk.Image, shrink: int) -> float:
    """Share of the voxels of ``fixed``, shrunk, that makes ``SAMPLES``."""
    voxels = np.prod([max(1, n // shrink) for n in fixed.GetSize()])
    return float(min(1.0, SAMPLES / voxels))


def _difference(transform: sitk.Transform, scans: _Scans, seed: int) -> float:
    """−MI; infinite where the images do not overlap, which SimpleITK treats as an error."""
    method = _method(scans.masks)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_fraction(scans.images[0], 1), seed + 1)
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(*scans.images))
    except RuntimeError:
        return float("inf")


def _minimum(image: sitk.Image) -> float:
    return float(sitk.GetArrayViewFromImage(image).min())


def _centre(image: sitk.Image) -> np.ndarray:
    middle = [(n - 1) / 2 for n in image.GetSize()]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(middle))


def _mass(image: sitk.Image) -> np.ndarray:
    weights = sitk.GetArrayViewFromImage(image).astype(np.float64)
    total = weights.sum()
    index = [
        float(
            (
                weights.sum(tuple(a for a in range(weights.ndim) if a != axis))
                * np.arange(weights.shape[axis])
            ).sum()
            / total
        )
        for axis in range(weights.ndim)
    ]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index[::-1]))


def _transform(stage: str, matrix: np.ndarray, centre: np.ndarray) -> sitk.Transform:
    dim = len(matrix) - 1
    if stage == "translation":
        return sitk.TranslationTransform(dim, matrix[:dim, dim].tolist())
    shift = matrix[:dim, :dim] @ centre + matrix[:dim, dim] - centre
    if stage == "rigid":
        rigid = sitk.Euler3DTransform() if dim == 3 else sitk.Euler2DTransform()
        rigid.SetCenter(centre.tolist())
        rigid.SetTranslation(shift.tolist())
        return rigid
    affine = sitk.AffineTransform(dim)
    affine.SetCenter(centre.tolist())
    affine.SetMatrix(matrix[:dim, :dim].ravel().tolist())
    affine.SetTranslation(shift.tolist())
    return affine


def _refine(stage: str, before: _Found, scans: _Scans, looks: _Scans, seed: int) -> _Found:
    """``before`` after a stage, or itself where the descent runs away with every first step."""
    images, masks = scans.images, scans.masks
    centre = _mass(masks[0]) if masks[0] is not None else _centre(images[0])
    for step_mm in STEPS_MM:
        transform = _transform(stage, before.matrix, centre)
        method = _descent(stage, step_mm, images[0], masks, seed)
        method.SetInitialTransform(transform, inPlace=True)
        with suppress(RuntimeError):  # it left the moving image; the comparison tells
            method.Execute(*images)
        difference = _difference(transform, looks, seed)
        if np.isfinite(difference) and difference <= RUNAWAY * before.difference:
            return _Found(_as_matrix(transform), difference)
    return before


def _descent(
    stage: str, step_mm: float, fixed: sitk.Image, masks: list[sitk.Image | None], seed: int
) -> sitk.ImageRegistrationMethod:
    method = _method(masks)
    shrink = [max(1, round(mm / np.median(fixed.GetSpacing()))) for mm in RESOLUTIONS_MM[stage]]
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel([_fraction(fixed, s) for s in shrink], seed + 1)
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([mm / 4 for mm in RESOLUTIONS_MM[stage]])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_mm, minStep=0.02, numberOfIterations=100, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _as_matrix(transform: sitk.Transform) -> np.ndarray:
    """(D+1, D+1) of a linear transform, read off from where it takes the axes."""
    dim = transform.GetDimension()
    origin = np.array(transform.TransformPoint([0.0] * dim))
    matrix = np.eye(dim + 1)
    for axis in range(dim):
        matrix[:dim, axis] = np.array(transform.TransformPoint(np.eye(dim)[axis].tolist())) - origin
    matrix[:dim, dim] = origin
    return matrix
