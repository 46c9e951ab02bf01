"""A thorax at exhale and inhale, and the deformation between them, made from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..field import invert, mm_to_vox, transform_points, vox_to_mm
from ..grid import sample, voxel_points
from ..types import Displacement, Elasticity, Grid, Image, LabelMap
from .anatomy import Anatomy
from .body import FIELD_OF_VIEW_MM, TISSUES, Body, labels_of
from .breathing import breath, draw_stiffness, solve_grid, upsample
from .shapes import positions

CENTRE_RAS = (-4.5, 12.0, -181.0)
SMALLEST_SIZE = 32
LARGEST_BREATH_MM = 40.0
LANDMARKS = 120
RESIDUAL_VOX = 5e-3
HALF_STEPS = 40


@dataclass(frozen=True)
class PhantomOptions:
    """What to make.

    Args:
        size: voxels along (i, j, k), or one number for all three; the field of view is the same
            333 × 256 × 307 mm whatever the size.
        seed: the patient: anatomy, stiffness, breath, noise. One seed is one patient at any size.
        breath_mm: deepest descent of the diaphragm; the seed draws 80 to 100 % of it.
        noise_hu: standard deviation of the Gaussian noise, independent in both images.
        variation: how much patients differ, 0 (only vessels, texture and noise) to 1.

    Raises:
        InputError: a value lies outside its range.
    """

    size: int | tuple[int, int, int] = 128
    seed: int = 0
    breath_mm: float = 25.0
    noise_hu: float = 20.0
    variation: float = 1.0

    def __post_init__(self) -> None:
        if len(self.sizes) != 3 or min(self.sizes) < SMALLEST_SIZE:
            raise InputError(
                f"a phantom of size {self.size}", f"three sizes of {SMALLEST_SIZE} voxels or more"
            )
        if self.seed < 0:
            raise InputError(f"the seed {self.seed}", "a whole number from 0 on")
        if not 0 <= self.breath_mm <= LARGEST_BREATH_MM:
            raise InputError(
                f"a breath of {self.breath_mm:g} mm",
                f"0 to {LARGEST_BREATH_MM:g} mm",
                "a deeper breath folds the small-strain truth",
            )
        if not (self.noise_hu >= 0 and np.isfinite(self.noise_hu)):
            raise InputError(f"a noise of {self.noise_hu:g} HU", "a number from 0 on")
        if not 0 <= self.variation <= 1:
            raise InputError(f"a variation of {self.variation:g}", "a number from 0 to 1")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Voxels along (i, j, k)."""
        return self.size if isinstance(self.size, tuple) else (self.size,) * 3


@dataclass(frozen=True, eq=False)
class Phantom:
    """A pair of images with everything about them known.

    Attributes:
        fixed: exhale, the state at rest, in HU.
        moving: inhale.
        fixed_labels: 0 background, 1 soft_tissue, 2 lung (its vessels and airways included),
            3 bone, 4 heart, 5 liver.
        moving_labels: likewise.
        displacement: the truth: fixed(x) = moving(x + u(x)) but for noise and sampling.
        stiffness: true (λ, μ) of every tissue, relative to a bone of Young's modulus 1.
        fixed_points: landmarks (P, 3) RAS mm, where vessels of lungs and liver branch.
        moving_points: the same in the moving image, x + u(x).
        breath_mm: how far the diaphragm truly descends.
        inverse_residual_vox: largest residual of the numerical inverse that made ``moving``.
        options: what was asked for.
    """

    fixed: Image
    moving: Image
    fixed_labels: LabelMap
    moving_labels: LabelMap
    displacement: Displacement
    stiffness: dict[str, Elasticity]
    fixed_points: np.ndarray
    moving_points: np.ndarray
    breath_mm: float
    inverse_residual_vox: float
    options: PhantomOptions


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums that do not depend on the number of processors; small steps are no slower so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def make_phantom(options: PhantomOptions | None = None) -> Phantom:
    """Two breathing states of one thorax whose deformation solves linear elasticity.

    The anatomy is a continuous function A of position at exhale. The displacement u is the static
    equilibrium on the exhale tissues (``breathing``), taken whole although it is large. Then
    fixed(x) = A(x) and moving(y) = A(y + w(y)) with w the inverse of u, so that
    fixed(x) = moving(x + u(x)) without the blur of an interpolation. HU do not change with the
    breath. On one machine equal options give equal phantoms, bit for bit, on any number of threads.
    """
    options = options or PhantomOptions()
    draw = [np.random.default_rng([options.seed, stream]) for stream in range(4)]
    body = Body.draw(draw[0], options.variation)
    breath_mm = options.breath_mm * (1 - 0.2 * options.variation * draw[0].uniform())
    stiffness = draw_stiffness(draw[1], options.variation)
    local, grid = image_grid(options.sizes), image_grid(options.sizes, CENTRE_RAS)

    coarse = solve_grid()
    u_mm = upsample(breath(body, stiffness, coarse, breath_mm), coarse, local)
    w_vox, residual = inverse(mm_to_vox(u_mm, local))

    anatomy = Anatomy(body, draw[2], float(np.mean(grid.spacing)))
    exhale = positions(local)
    fixed, fixed_labels = scan(anatomy, exhale)
    moving, moving_labels = scan(anatomy, exhale + vox_to_mm(w_vox, local)[0])
    fixed_points = landmarks(anatomy, u_mm, grid, draw[3])
    return Phantom(
        fixed=Image(add_noise(fixed, options.noise_hu, draw[3]), grid, "fixed"),
        moving=Image(add_noise(moving, options.noise_hu, draw[3]), grid, "moving"),
        fixed_labels=LabelMap(fixed_labels, grid, dict(TISSUES), "fixed labels"),
        moving_labels=LabelMap(moving_labels, grid, dict(TISSUES), "moving labels"),
        displacement=Displacement(u_mm, grid),
        stiffness=stiffness,
        fixed_points=fixed_points,
        moving_points=transform_points(fixed_points, u_mm, grid),
        breath_mm=float(breath_mm),
        inverse_residual_vox=residual,
        options=options,
    )


def image_grid(sizes: tuple[int, ...], centre: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Grid:
    """Grid of ``sizes`` (i, j, k) over the field of view about ``centre`` (RAS mm)."""
    size = np.asarray(sizes)
    spacing = np.asarray(FIELD_OF_VIEW_MM) / size
    origin = np.asarray(centre) - (size - 1) / 2 * spacing
    return Grid.from_spacing(tuple(sizes[::-1]), tuple(spacing), tuple(origin))


def inverse(u_vox: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Inverse of ``u_vox`` and its largest residual in voxels.

    The plain fixed point of ``invert`` swings about the answer where the lung doubles its length;
    half steps settle it.
    """
    w_vox, _ = invert(u_vox, iterations=12, tolerance=RESIDUAL_VOX)
    identity = voxel_points(tuple(u_vox.shape[2:]), u_vox)
    for _ in range(HALF_STEPS):
        step = w_vox + sample(u_vox, identity + w_vox)
        largest = float(step.norm(dim=1).max())
        if largest < RESIDUAL_VOX:
            break
        w_vox -= step / 2
    return w_vox, largest


def scan(anatomy: Anatomy, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """HU float32 and tissue labels int32 (1, 1, *shape) at ``points`` (3, *shape)."""
    images, labels = [], []
    for layer in points.split(4, dim=1):
        solids = anatomy.body.solids(layer)
        images.append(anatomy.hounsfield(layer, solids))
        labels.append(labels_of(solids))
    return torch.cat(images)[None, None], torch.cat(labels)[None, None]


def add_noise(image: torch.Tensor, noise_hu: float, rng: np.random.Generator) -> torch.Tensor:
    """Gaussian noise; nothing falls under −1024 HU."""
    noise = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    return (image + noise_hu * noise).clamp(min=-1024)


def landmarks(
    anatomy: Anatomy, u_mm: torch.Tensor, grid: Grid, rng: np.random.Generator
) -> np.ndarray:
    """Places where vessels branch (P, 3) RAS mm, seen in both images."""
    points = rng.permutation(anatomy.bifurcations + np.asarray(CENTRE_RAS))
    reach = (np.asarray(grid.size) - 1) / 2 * np.asarray(grid.spacing)
    seen = np.ones(len(points), dtype=bool)
    for there in (points, transform_points(points, u_mm, grid)):
        seen &= (np.abs(there - CENTRE_RAS) < reach).all(axis=1)
    return points[seen][:LANDMARKS]
