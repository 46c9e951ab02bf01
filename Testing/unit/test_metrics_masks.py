"""Distances between all voxels of tissues, as published tables have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, LabelMap, metrics


def label_map(array: np.ndarray, grid: Grid) -> LabelMap:
    return LabelMap(torch.as_tensor(array.astype(np.int32))[None, None], grid, {1: "bone"})


def test_all_voxels_of_a_tissue_are_nearer_than_its_surface() -> None:
    grid = Grid.from_spacing((8, 8, 40), (1.0, 1.0, 1.0))
    box = np.zeros(grid.shape)
    box[2:6, 2:6, 5:25] = 1
    moved = np.roll(box, 4, axis=2)
    maps = label_map(box, grid), label_map(moved, grid)
    # Sixteen of twenty layers are shared; the others lie 1 to 4 mm away.
    distances = np.repeat([0.0] * 16 + [1.0, 2.0, 3.0, 4.0], 16)
    assert metrics.mask_hd95_mm(*maps) == pytest.approx({"bone": np.percentile(distances, 95)})
    assert metrics.mask_hd95_mm(*maps)["bone"] < metrics.hd95_mm(*maps)["bone"]
    assert metrics.mask_hd95_mm(maps[0], maps[0]) == {"bone": 0.0}
