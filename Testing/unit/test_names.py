"""Tissues of two label maps are matched by name, whatever the case."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, InputError, LabelMap, metrics
from ElasticHyperRegLib.names import spelled_like


def label_map(values: np.ndarray, grid: Grid, **names: int) -> LabelMap:
    data = torch.from_numpy(values.astype(np.int32))[None, None]
    return LabelMap(data, grid, {value: name for name, value in names.items()})


def test_names_are_matched_whatever_their_case() -> None:
    grid = Grid.from_spacing((1, 6), (1.0, 1.0))
    fixed = label_map(np.array([[1, 1, 2, 2, 0, 0]]), grid, left_lung=1, liver=2)
    data = torch.tensor([[[[5, 5, 7, 0, 7, 0]]]], dtype=torch.int32)
    warped = LabelMap(data, grid, {5: "Left Lung", 7: "LIVER"})
    assert metrics.dice(fixed, warped) == {"left_lung": 1.0, "liver": 0.5}
    metrics.check_common_tissue(fixed, warped)
    both = LabelMap(data, grid, {5: "Liver", 7: "liver"})  # two tissues of one map stay two
    assert set(metrics.dice(both, both)) == {"Liver", "liver"}


def test_maps_without_a_common_tissue_are_refused() -> None:
    grid = Grid.from_spacing((1, 4), (1.0, 1.0))
    fixed = label_map(np.array([[1, 1, 0, 0]]), grid, lung=1)
    other = LabelMap(torch.tensor([[[[2, 2, 0, 0]]]], dtype=torch.int32), grid)
    with pytest.raises(InputError, match=r"without a common tissue \(lung; 2\)"):
        metrics.check_common_tissue(fixed, other)


def test_exact_names_come_before_alike_ones() -> None:
    grid = Grid.from_spacing((1, 4), (1.0, 1.0))
    values = np.array([[1, 2, 3, 0]])
    other = label_map(values, grid, Lung=1, lung=2)
    own = label_map(values, grid, lung=1, LUNG=2, air=3)
    assert spelled_like(own, other).names == {1: "lung", 2: "Lung", 3: "air"}
    alone = label_map(values, grid, lung=1, liver=2)
    assert spelled_like(label_map(values, grid, LUNG=1, Lung=2), alone).names == {
        1: "lung",
        2: "Lung",
    }
    assert spelled_like(label_map(values, grid, Lung=1, lung=2), alone).names == {
        1: "Lung",
        2: "lung",
    }
    assert spelled_like(other, other) is other


def test_labels_of_one_name_stay_one_tissue() -> None:
    grid = Grid.from_spacing((1, 4), (1.0, 1.0))
    fixed = label_map(np.array([[1, 1, 1, 0]]), grid, lung=1)
    data = torch.tensor([[[[1, 2, 2, 0]]]], dtype=torch.int32)
    halves = LabelMap(data, grid, {1: "Lung", 2: "Lung"})
    assert spelled_like(halves, fixed).names == {1: "lung", 2: "lung"}
    assert metrics.dice(fixed, halves) == {"lung": 1.0}
