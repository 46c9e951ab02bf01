"""The metrics of a registration, as ``metrics.json`` holds them."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..field import transform_points
from ..grid import coarser, resample
from ..metrics import (
    dice,
    folds_fraction,
    hd95_mm,
    inverse_consistency_mm,
    jacobian_summary,
    mean_dice,
    ncc,
    tre_mm,
)
from ..similarity import NCC, LocalNCC
from ..types import Displacement, LabelMap
from .air import tissue_share
from .intensity import normalised
from .outcome import Outcome
from .prepare import Prepared, Side
from .request import RegistrationRequest

LOG = logging.getLogger(__name__)
Record = dict[str, Any]
SMALLEST_OVERLAP = 100
"""Voxels without which a correlation says nothing."""
UNLIKE, UNLIKE_VOXELS, UNLIKE_WINDOW = 0.4, 2**18, 9
"""Local dissimilarity of tissue that registered pairs of one modality do not have: CT, MR of liver
and heart and phantoms lie at .01 to .26, of two contrasts at .43 to .80. Measured on so many voxels
with a box of this side."""


def measures(
    request: RegistrationRequest,
    prepared: Prepared,
    before: Outcome,
    after: Outcome,
    u_mm: torch.Tensor,
    initial: np.ndarray,
) -> Iterator[Record]:
    """Likeness, overlap and landmark error, before and after; what does not apply is absent.

    One figure after the other: of large images each takes its time.

    Args:
        prepared: both images made ready.
        before: the moving side where the files place it in the world.
        after: the moving side under ``u_mm``.
        u_mm: the whole map, (1, D, *shape of the fixed image) RAS mm.
        initial: the alignment that is part of it, (D+1, D+1) RAS mm.
    """
    fixed, within = prepared.fixed, prepared.similarity == NCC
    found = {
        side: _likeness(fixed, shown) for side, shown in (("before", before), ("after", after))
    }
    if found["after"] is None:
        LOG.warning(
            "under the alignment that was found hardly anything of %s and %s can be compared: "
            "check their voxel sizes and masks",
            request.fixed.name,
            request.moving.name,
        )
    # A network alone leaves more apart.
    elif within and request.options.refine != 0 and _unlikeness(fixed, after) > UNLIKE:
        LOG.warning(
            "%s and %s are hardly alike after it: if their contrasts differ, compare them by "
            "MIND-SSC (--similarity mind)",
            request.fixed.name,
            request.moving.name,
        )
    likeness = {side: value for side, value in found.items() if value is not None}
    if likeness and within:  # between modalities it tells nothing
        yield {"ncc": likeness}
    labels = request.fixed_labels
    if labels is not None and before.labels is not None and after.labels is not None:
        yield from _overlaps(labels, before.labels, after.labels)
    if request.fixed_points is not None and request.moving_points is not None:
        moved = transform_points(request.fixed_points, u_mm, request.fixed.grid, initial)
        errors = {
            "before": float(tre_mm(request.fixed_points, request.moving_points).mean()),
            "after": float(tre_mm(moved, request.moving_points).mean()),
            "n": len(request.fixed_points),
        }
        yield {"tre_mm": errors}


def regularity(jacobian: torch.Tensor, displacement: Displacement, inverse: Displacement) -> Record:
    """Folds, volume change and inverse consistency of the whole map."""
    consistency = inverse_consistency_mm(
        displacement.u_mm, inverse.u_mm, displacement.grid, inverse.grid
    )
    record: Record = {
        "folds_fraction": folds_fraction(jacobian),
        "jacobian": jacobian_summary(jacobian),
    }
    return {**record, "inverse_consistency_mm": consistency} if consistency else record


def forget_peak_memory() -> None:
    """Let ``peak_memory_mib`` begin anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mib() -> Record:
    """``peak_memory_mib`` of this process so far; nothing where the system does not tell."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        told = next(line for line in lines if line.startswith("VmHWM:"))
        return {"peak_memory_mib": round(int(told.split()[1]) / 2**10, 1)}
    try:
        import resource
    except ImportError:  # Windows
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_mib": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)}


def _likeness(fixed: Side, shown: Outcome) -> float | None:
    """Correlation where both images count; None where they hardly overlap or one is constant."""
    counted = shown.counted if fixed.mask is None else shown.counted & fixed.mask
    if int(counted.sum()) < min(SMALLEST_OVERLAP, counted.numel()):
        return None
    value = ncc(fixed.image.data, shown.warped.data, counted)
    return value if math.isfinite(value) else None


def _unlikeness(fixed: Side, shown: Outcome) -> float:
    """Mean of 1 − cc² over and within tissue that counts in both images, on coarser voxels.

    The correlation of the whole images is high wherever a body lies in air.
    """
    own = fixed.image.grid
    coarsening = max(1.0, (own.voxels / UNLIKE_VOXELS) ** (1 / own.ndim))
    grid = coarser(own, tuple(side * coarsening for side in own.spacing))
    there, warped = (resample(data, own, grid) for data in (fixed.data, normalised(shown.warped)))
    counted = shown.counted if fixed.mask is None else shown.counted & fixed.mask
    seen = resample(counted.float(), own, grid)
    weight = tissue_share(fixed.image, grid) * seen
    apart = 1 - LocalNCC(there, UNLIKE_WINDOW, seen).map(warped)
    return float((apart * weight).sum() / weight.sum().clamp_min(1))


def _overlaps(fixed: LabelMap, before: LabelMap, after: LabelMap) -> Iterator[Record]:
    scores = dice(fixed, before), dice(fixed, after)
    means = {side: mean_dice(s) for side, s in zip(("before", "after"), scores, strict=True) if s}
    if means:
        yield {"dice": _paired(*scores), "mean_dice": means}
    distances = hd95_mm(fixed, before)
    yield {}  # so long that one may be stopped in between
    if paired := _paired(distances, hd95_mm(fixed, after)):
        yield {"hd95_mm": paired}


def _paired(before: Mapping[str, float], after: Mapping[str, float]) -> Record:
    sides = {"before": before, "after": after}
    return {
        name: {side: values[name] for side, values in sides.items() if name in values}
        for name in sorted({*before, *after}, key=[*before, *after].index)
    }
