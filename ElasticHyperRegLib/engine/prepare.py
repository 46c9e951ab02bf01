"""A request made ready for the solver: intensities, masks, initial alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..alignment import align, enlargement
from ..energies import Coefficient
from ..errors import InputError
from ..field import warp, with_initial, world_points
from ..grid import coarser, resample
from ..similarity import MIND
from ..solver import Problem
from ..types import Grid, Image, LabelMap
from .distance import signed_distance_mm
from .intensity import field_of_view, normalised, without_padding
from .request import RegistrationRequest
from .similarity import in_fixed_frame, similarity_of

RIM_MM = 5.0
"""Around a user's mask that similarity sees too: an organ's border is where its edge is. Less for
small objects, as the initial alignment has it (``alignment.enlargement``)."""
MARGIN_MM = 15.0
"""Around a user's mask that the initial alignment sees too: borders of organs guide it.
Likewise."""
OVERLAP_MM = 8.0


@dataclass(frozen=True, eq=False)
class Side:
    """One image made ready.

    Attributes:
        image: in its own units, without padding.
        data: intensities of order 1, (1, 1, *shape).
        mask: voxels where similarity counts, bool, or ``None`` for all of them.
        seen: voxels that the scanner saw, bool, or ``None`` for all of them.
    """

    image: Image
    data: torch.Tensor
    mask: torch.Tensor | None
    seen: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class Prepared:
    """Both images made ready, and by what they are compared."""

    fixed: Side
    moving: Side
    similarity: str


def prepare(request: RegistrationRequest) -> Prepared:
    """Everything that needs no registration.

    Raises:
        InputError: a mask holds nothing that the scanner saw.
    """
    rim_mm = RIM_MM / _enlarged(request)
    return Prepared(
        _side(request.fixed, request.fixed_mask, rim_mm),
        _side(request.moving, request.moving_mask, rim_mm),
        similarity_of(request),
    )


def _enlarged(request: RegistrationRequest) -> float:
    """How many times larger a body is for which the margins are meant."""
    return enlargement(request.fixed.grid, request.moving.grid)


def initial_alignment(
    request: RegistrationRequest, prepared: Prepared, cancelled: Callable[[], bool]
) -> np.ndarray:
    """A, (D+1, D+1) RAS mm, fixed → moving points.

    Raises:
        InputError: under A the images do not overlap.
    """
    options = request.options
    if isinstance(options.initial, str):
        margin_mm = MARGIN_MM / _enlarged(request)
        sides = [
            (side.data, side.image.grid, with_margin(mask, margin_mm, side.seen))
            for side, mask in (
                (prepared.fixed, request.fixed_mask),
                (prepared.moving, request.moving_mask),
            )
        ]
        matrix = align(options.initial, sides[0], sides[1], options.seed, cancelled)
    else:
        matrix = np.array(options.initial, dtype=np.float64)
    _check_overlap(prepared, matrix)
    return matrix


def problem_of(
    prepared: Prepared,
    elasticity: tuple[Coefficient, Coefficient],
    initial: np.ndarray,
    device: torch.device,
) -> Problem:
    """What the solver is given, on ``device``.

    Args:
        prepared: both images.
        elasticity: λ and μ, numbers or maps on the fixed grid.
        initial: A, (D+1, D+1) RAS mm, fixed → moving points.
        device: where the solver computes.
    """

    def there(data: torch.Tensor) -> torch.Tensor:
        return data.to(device)

    fixed, moving = prepared.fixed, prepared.moving
    lam, mu = (there(c) if isinstance(c, torch.Tensor) else c for c in elasticity)
    problem = Problem(
        fixed=there(fixed.data),
        moving=there(moving.data),
        fixed_grid=fixed.image.grid,
        moving_grid=moving.image.grid,
        lam=lam,
        mu=mu,
        initial=initial,
        fixed_mask=None if fixed.mask is None else there(fixed.mask),
        moving_mask=None if moving.mask is None else there(moving.mask),
    )
    return in_fixed_frame(problem) if prepared.similarity == MIND else problem


def _side(image: Image, mask: LabelMap | None, rim_mm: float) -> Side:
    seen = field_of_view(image)
    clean = without_padding(image)
    counts = with_margin(mask, rim_mm, seen)
    if counts is not None and not bool(counts.any()):
        raise InputError(
            f"a mask that lies outside the field of view of {image.name}",
            "some voxels that the scanner saw",
        )
    return Side(clean, normalised(clean), counts, seen)


def _both(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    if a is None or b is None:
        return a if b is None else b
    return a & b


def with_margin(
    mask: LabelMap | None, margin_mm: float, seen: torch.Tensor | None
) -> torch.Tensor | None:
    """A user's mask with a margin, within what the scanner saw; ``None`` is everywhere.

    Args:
        mask: what is not 0 counts.
        margin_mm: around it.
        seen: (1, 1, *shape) bool, see ``intensity.field_of_view``.
    """
    return _both(None if mask is None else dilated(mask.data != 0, mask.grid, margin_mm), seen)


def dilated(mask: torch.Tensor, grid: Grid, margin_mm: float) -> torch.Tensor:
    """Voxels (1, 1, *shape) at most ``margin_mm`` from the nearest voxel of ``mask``."""
    return signed_distance_mm(mask, grid) <= margin_mm


def _thinnest_mm(side: Side) -> float:
    """Extent of what counts, along the axis where it is least."""
    grid = side.image.grid
    if side.mask is None:
        return float(min(np.multiply(grid.size, grid.spacing)))
    inside = side.mask[0, 0].cpu().numpy() > 0
    extents = []
    for axis, spacing in enumerate(grid.spacing):
        across = tuple(dim for dim in range(grid.ndim) if dim != grid.ndim - 1 - axis)
        extents.append(spacing * int(inside.any(axis=across).sum()))
    return min(extents)


def _check_overlap(prepared: Prepared, initial: np.ndarray) -> None:
    """Some of what counts in the fixed image must land on some that counts in the moving one."""
    fixed, moving = prepared.fixed, prepared.moving
    step = min(OVERLAP_MM, _thinnest_mm(moving) / 2)
    spacing = np.maximum(fixed.image.grid.spacing, step)
    grid = coarser(fixed.image.grid, tuple(spacing))
    like = fixed.data
    counts = [
        torch.ones_like(s.data) if s.mask is None else s.mask.to(like) for s in (fixed, moving)
    ]
    rest = torch.zeros(1, grid.ndim, *grid.shape)
    u_mm = with_initial(rest, world_points(grid, rest), initial)
    landed = warp(counts[1], u_mm, grid, moving.image.grid, fill=0.0)
    if not bool((landed * resample(counts[0], fixed.image.grid, grid)).any()):
        raise InputError(
            f"{fixed.image.name} and {moving.image.name}, which nowhere overlap",
            "images (and masks) that share some of the body in world coordinates",
            "use an initial alignment, or check that they belong together",
        )
