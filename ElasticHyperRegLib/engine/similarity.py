"""By what the images of a request are compared, and a problem made ready for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..grid import (
    anti_aliased,
    apply_matrix,
    grid_to_grid,
    map_points,
    outer_corners,
    sample,
    voxel_points,
    window,
)
from ..similarity import MIND, NCC
from ..solver import Problem
from ..types import Image
from .intensity import is_ct
from .request import AUTO, NONE, RegistrationRequest

SIMILARITIES = (AUTO, NCC, MIND)
FEW = 1e-3
"""Part of the voxels that noise or an undershot edge may bring below 0."""
AROUND_MM, AROUND = 40.0, 0.25
"""Around the fixed image that the moving one is kept, at most; as a part of its side."""


def similarity_of(request: RegistrationRequest) -> str:
    """``ncc`` or ``mind``: what was asked for, or what suits the images.

    Nothing but intensities is known of the modality (``is_ct``): two scans that are no CT are taken
    for the same, and what has values below 0 for a CT that shows no air.
    """
    options, images = request.options, (request.fixed, request.moving)
    if options.similarity != AUTO:
        return options.similarity
    if options.model not in (AUTO, NONE):
        return NCC
    others = [image for image in images if not is_ct(image)]
    return MIND if len(others) == 1 and not _may_be_hu(others[0]) else NCC


def _may_be_hu(image: Image) -> bool:
    """Whether more than a few values lie below 0, as in a CT that shows or keeps no air."""
    return float((image.data < 0).double().mean()) > FEW


def in_fixed_frame(problem: Problem) -> Problem:
    """The same problem with the initial alignment done: the moving image along the fixed axes.

    Descriptors have directions, which a turn or other axes would mix up.
    """
    fixed, moving = problem.fixed_grid, problem.moving_grid
    dim = fixed.ndim
    initial = np.eye(dim + 1) if problem.initial is None else problem.initial
    to_moving = moving.ras_to_ijk @ initial @ fixed.ijk_to_ras
    places = map_points(np.linalg.inv(to_moving), outer_corners(moving))
    around = np.minimum(AROUND_MM / np.asarray(fixed.spacing), AROUND * np.asarray(fixed.size))
    margin = np.ceil(around)
    low = np.maximum(np.floor(places.min(0)), -margin)
    high = np.minimum(np.ceil(places.max(0)), np.asarray(fixed.size) - 1 + margin)
    size = np.maximum(high - low, 0).astype(int) + 1
    grid = window(fixed, low, tuple(size[::-1].tolist()))
    points = voxel_points(grid.shape, problem.moving)
    there = apply_matrix(to_moving @ grid_to_grid(grid, fixed), points)

    def brought(data: torch.Tensor, mode: str, fill: float | None) -> torch.Tensor:
        return sample(data, there.expand(len(data), *there.shape[1:]), mode, fill)

    along = initial[:dim, :dim] @ fixed.direction
    lengths = np.linalg.norm(along, axis=0)
    spacing = tuple((np.asarray(fixed.spacing) * lengths).tolist())
    smooth = anti_aliased(problem.moving, moving, along / lengths, spacing)
    mask = problem.moving_mask
    shown = torch.ones_like(problem.moving) if mask is None else mask.float()
    return replace(
        problem,
        moving=brought(smooth, "bilinear", None),
        moving_grid=grid,
        moving_mask=brought(shown, "nearest", 0.0),
        initial=None,
        similarity=MIND,
    )
