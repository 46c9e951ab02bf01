"""How regular a displacement is, and how well an inverse undoes it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..errors import InputError
from ..field.warp import moving_positions
from ..grid import lengths, sample
from ..types import Displacement, Grid, LabelMap
from .regions import masked_values, tissues, to_array

SLAB_VOXELS = 2**21
"""Voxels that a round trip handles at once, so that a large volume needs little more memory."""

INSIDE_TOLERANCE_VOX = 1e-3
"""Rounding of float32 positions allowed at the border of the moving grid."""


def folds_fraction(jacobian: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Fraction of voxels with det(I + ∇u) ≤ 0; a value that is not a number counts as a fold.

    Args:
        jacobian: det(I + ∇u) of the displacement, (1, 1, *shape).
        mask: voxels that count (non-zero), of the same shape; all of them without a mask.

    Raises:
        InputError: the mask has another shape or is empty.
    """
    return _folds(masked_values(jacobian, mask))


def jacobian_summary(jacobian: torch.Tensor, mask: torch.Tensor | None = None) -> dict[str, float]:
    """``min``, ``max``, ``p01``, ``p99`` of J = det(I + ∇u) and ``std_log``.

    ``std_log`` is the standard deviation of ln J over the voxels with J > 0, absent where there
    are none.

    Args:
        jacobian: (1, 1, *shape).
        mask: voxels that count (non-zero), of the same shape; all of them without a mask.

    Raises:
        InputError: the mask has another shape or is empty.

    Reference: Leow et al., Statistical properties of Jacobian maps and the realization of unbiased
    large-deformation nonlinear image registration, IEEE TMI 26 (2007).
    """
    return _summary(masked_values(jacobian, mask))


def jacobian_by_tissue(jacobian: torch.Tensor, labels: LabelMap) -> dict[str, dict[str, float]]:
    """``folds_fraction`` and the keys of ``jacobian_summary`` for each tissue, by its name.

    Args:
        jacobian: (1, 1, *shape) on the grid of ``labels``.
        labels: tissues of the fixed image.

    Raises:
        InputError: the shapes differ.
    """
    if jacobian.shape != labels.data.shape:
        raise InputError(
            f"a Jacobian of shape {tuple(jacobian.shape)}", f"{tuple(labels.data.shape)}"
        )
    values = to_array(jacobian)
    found = {}
    for tissue in tissues(labels):
        inside = values[tissue.box][tissue.masks[0]]
        found[tissue.name] = {"folds_fraction": _folds(inside), **_summary(inside)}
    return found


def inverse_consistency_mm(
    u_mm: torch.Tensor, w_mm: torch.Tensor, fixed: Grid, moving: Grid
) -> dict[str, float]:
    """``mean``, ``p95`` and ``max`` of |u(x) + w(x + u(x))| in mm.

    Only the voxels x whose x + u(x) lies among the voxel centres of the moving grid count: outside
    it w is not known. Where there are none the result is empty.

    Args:
        u_mm: (1, D, *fixed.shape) RAS mm, fixed → moving.
        w_mm: (1, D, *moving.shape) RAS mm, moving → fixed.
        fixed: grid of ``u_mm``.
        moving: grid of ``w_mm``.

    Raises:
        InputError: a field does not fit its grid.

    Reference: Christensen and Johnson, Consistent image registration, IEEE TMI 20 (2001).
    """
    w_mm = Displacement(w_mm, moving).u_mm
    slabs = _slabs(Displacement(u_mm, fixed))
    errors = np.concatenate([_round_trip_mm(slab, w_mm, moving) for slab in slabs])
    if errors.size == 0:
        return {}
    return {
        "mean": float(errors.mean(dtype=np.float64)),
        "p95": float(np.percentile(errors, 95)),
        "max": float(errors.max()),
    }


def _folds(jacobian: np.ndarray) -> float:
    return 1 - int(np.count_nonzero(jacobian > 0)) / jacobian.size


def _summary(jacobian: np.ndarray) -> dict[str, float]:
    p01, p99 = np.percentile(jacobian, (1, 99))
    summary = {
        "min": float(jacobian.min()),
        "max": float(jacobian.max()),
        "p01": float(p01),
        "p99": float(p99),
    }
    positive = jacobian[jacobian > 0]
    if positive.size:
        summary["std_log"] = float(np.log(positive).std(dtype=np.float64))
    return summary


def _slabs(displacement: Displacement) -> Iterator[Displacement]:
    """The field cut along its slowest axis into views of about ``SLAB_VOXELS`` voxels."""
    grid = displacement.grid
    step = max(1, SLAB_VOXELS * grid.shape[0] // grid.voxels)
    for first in range(0, grid.shape[0], step):
        u_mm = displacement.u_mm[:, :, first : first + step]
        matrix = grid.ijk_to_ras.copy()
        matrix[:-1, -1] += first * matrix[:-1, -2]
        yield Displacement(u_mm, Grid(tuple(u_mm.shape[2:]), matrix))


def _round_trip_mm(slab: Displacement, w_mm: torch.Tensor, moving: Grid) -> np.ndarray:
    """|u(x) + w(x + u(x))| of the voxels of ``slab`` that land inside ``moving``, flat."""
    positions = moving_positions(slab.u_mm, slab.grid, moving)
    last = torch.tensor(moving.size, device=positions.device).sub(1).view(1, -1, *[1] * moving.ndim)
    inside = (positions >= -INSIDE_TOLERANCE_VOX) & (positions <= last + INSIDE_TOLERANCE_VOX)
    error = lengths(slab.u_mm + sample(w_mm, positions))
    return error[inside.all(dim=1)].detach().cpu().numpy()
