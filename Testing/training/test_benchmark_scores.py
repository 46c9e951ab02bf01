"""What a row of the ACDC table says of known fields and labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, Image, LabelMap, RegistrationRequest
from training.benchmark import as_markdown, as_records
from training.benchmark.score import Fields, score


def label_case(fixed: np.ndarray, moving: np.ndarray) -> RegistrationRequest:
    grid = Grid.from_spacing(fixed.shape, (1.8, 1.8))
    image = Image(torch.rand(1, 1, *fixed.shape), grid)
    maps = [
        LabelMap(torch.from_numpy(v)[None, None].int(), grid, dict(enumerate("0abc")))
        for v in (fixed, moving)
    ]
    return RegistrationRequest(image, image, fixed_labels=maps[0], moving_labels=maps[1])


def test_absent_classes_and_means():
    both, one = np.zeros((2, 12, 12), np.int32)
    both[2:6, 2:6], both[8:10, 8:10] = 1, 2
    one[2:6, 4:8] = 1
    cases = [label_case(both, both), label_case(both, one), label_case(one, one)]
    rest = torch.zeros(3, 2, 12, 12)
    row = score(cases, Fields(rest, 0.25), "somebody", "none")
    assert row.class_dice == pytest.approx({"a": (1 + 0.5 + 1) / 3, "b": (1 + 0) / 2})
    means = [1, 0.25, 1]
    assert row.mean_dice == pytest.approx(np.mean(means))
    assert row.mean_dice_sd == pytest.approx(np.std(means))
    assert row.hd95_mm == pytest.approx((0 + 3.6 + 0) / 3)
    assert (row.folds_fraction, row.seconds_per_pair, row.pairs) == (0, 0.25, 3)


def test_a_distance_that_there_is_none_of_is_absent():
    empty = np.zeros((12, 12), np.int32)
    full = empty.copy()
    full[2:6, 2:6] = 1
    row = score([label_case(full, empty)], Fields(torch.zeros(1, 2, 12, 12), 0.0), "nobody", "none")
    assert row.mean_dice == 0
    assert "hd95_mm" not in as_records([row])[0]
    assert "nan" not in as_markdown([row], "table")


def test_labels_move_with_the_field_and_folds_are_those_of_the_displacement():
    fixed, moving = np.zeros((2, 12, 12), np.int32)
    fixed[2:6, 2:6], moving[2:6, 4:8] = 1, 1
    u_mm = torch.zeros(1, 2, 12, 12)
    u_mm[:, 0] = 3.6
    folded = torch.arange(12.0).mul(-3.6).expand(1, 2, 12, 12)
    fields = Fields(u_mm, 0.0, folded)
    row = score([label_case(fixed, moving)], fields, "somebody", "none")
    assert row.mean_dice == 1
    assert (row.folds_fraction, row.velocity_folds_fraction) == (0, 1)
