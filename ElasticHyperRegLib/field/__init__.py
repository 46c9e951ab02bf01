"""Displacement fields: their forms, warping, composition, inverse and Jacobian."""

from .compose import compose, exponential, invert, warp_voxels
from .forms import (
    lift_slices,
    mm_to_vox,
    norm_to_vox,
    rotate_to_axes,
    rotate_to_world,
    to_grid,
    vox_to_mm,
    vox_to_norm,
)
from .initial import elastic_part, inverse_map, with_initial, world_points
from .jacobian import determinant, displacement_gradient, jacobian_determinant
from .warp import transform_points, warp, warp_labels

__all__ = [
    "compose",
    "determinant",
    "displacement_gradient",
    "elastic_part",
    "exponential",
    "inverse_map",
    "invert",
    "jacobian_determinant",
    "lift_slices",
    "mm_to_vox",
    "norm_to_vox",
    "rotate_to_axes",
    "rotate_to_world",
    "to_grid",
    "transform_points",
    "vox_to_mm",
    "vox_to_norm",
    "warp",
    "warp_labels",
    "warp_voxels",
    "with_initial",
    "world_points",
]
