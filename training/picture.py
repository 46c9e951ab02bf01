"""What the network does to one validation pair, setting by setting, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib.field import jacobian_determinant, warp_voxels
from ElasticHyperRegLib.networks import RegistrationNetwork
from ElasticHyperRegLib.types import Grid

from .batches import collate
from .data.pair import PairSource
from .validation import everywhere, register_pair

SHRINK_GROW = 0.6
"""Colours of the Jacobian run from 1 − this to 1 + this."""


def write_picture(
    path: Path,
    model: RegistrationNetwork,
    source: PairSource,
    settings: tuple[tuple[float, ...], ...],
) -> None:
    """Fixed, moving, and for each setting the warped image above its Jacobian with the grid.

    Volumes are shown in their middle slice. The pair is the first of ``source``.
    """
    from matplotlib.figure import Figure

    pair = collate([source.sample(0, np.random.default_rng(0))])
    pair = pair.to(next(model.parameters()).device)
    columns = len(settings) + 1
    figure = Figure(figsize=(2.4 * columns, 5), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for row, (title, data) in enumerate((("fixed", pair.fixed), ("moving", pair.moving))):
        axes[row, 0].imshow(_slice(data), cmap="gray", vmin=0, vmax=1)
        axes[row, 0].set_title(title)
    for column, setting in enumerate(settings, start=1):
        u_vox = register_pair(model, pair, everywhere(setting)).displacement
        warped = warp_voxels(pair.moving, u_vox)
        grid = Grid.from_spacing(tuple(u_vox.shape[2:]), (1.0,) * model.spec.ndim)
        jacobian = _slice(jacobian_determinant(u_vox, grid))
        axes[0, column].imshow(_slice(warped), cmap="gray", vmin=0, vmax=1)
        axes[0, column].set_title(", ".join(f"{value:g}" for value in setting))
        limits = {"vmin": 1 - SHRINK_GROW, "vmax": 1 + SHRINK_GROW}
        axes[1, column].imshow(jacobian, cmap="RdBu_r", **limits)
        _draw_grid(axes[1, column], u_vox)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(path, dpi=110)


def _slice(data: torch.Tensor) -> np.ndarray:
    """(1, C, …) → the first channel, of a volume the middle slice."""
    plane = data[0, 0]
    return (plane[plane.shape[0] // 2] if plane.ndim == 3 else plane).float().cpu().numpy()


def _draw_grid(axis: object, u_vox: torch.Tensor) -> None:
    """Every eighth line of voxel centres of the fixed image, where they land."""
    u = u_vox[0, :2].float().cpu().numpy()
    u = u[:, u.shape[1] // 2] if u.ndim == 4 else u
    rows, columns = np.mgrid[: u.shape[1], : u.shape[2]]
    x, y = columns + u[0], rows + u[1]
    lines = axis.plot  # type: ignore[attr-defined]
    lines(x[::8].T, y[::8].T, x[:, ::8], y[:, ::8], color="k", linewidth=0.4)
