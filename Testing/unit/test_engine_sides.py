"""What each side of a pair contributes: masks, what is seen of it, likeness, volume change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, Grid, Image, LabelMap, RegistrationOptions, register
from ElasticHyperRegLib.engine.answer import _network_answer
from ElasticHyperRegLib.engine.intensity import normalised
from ElasticHyperRegLib.engine.network_field import NetworkField
from ElasticHyperRegLib.engine.outcome import outcome
from ElasticHyperRegLib.engine.prepare import Side, prepare, problem_of
from ElasticHyperRegLib.engine.report import UNLIKE, _likeness, _unlikeness
from ElasticHyperRegLib.field import jacobian_determinant
from Testing.unit.small_pair import small_request


def mask_of(image: Image) -> LabelMap:
    data = torch.zeros_like(image.data, dtype=torch.int32)
    data[..., 4:-4, 4:-4, 4:-4] = 1
    return LabelMap(data, image.grid)


def side_of(values: torch.Tensor, mask: torch.Tensor | None = None) -> Side:
    image = Image(values[None, None], Grid(tuple(values.shape), np.eye(values.ndim + 1)), "scan")
    return Side(image, image.data, mask, None)


def test_both_masks_reach_the_solver():
    request = small_request()
    masks: Any = {"fixed_mask": mask_of(request.fixed), "moving_mask": mask_of(request.moving)}
    prepared = prepare(small_request(**masks))
    problem = problem_of(prepared, (0.1, 0.1), np.eye(4), torch.device("cpu"))
    for side in ("fixed", "moving"):
        mask = getattr(problem, f"{side}_mask")
        assert mask is not None
        assert torch.equal(mask, getattr(prepared, side).mask)


def test_volume_change_is_that_of_the_whole_map():
    matrix = ((1.1, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0, 0, 0, 1))
    options = RegistrationOptions(initial=matrix, refine=1, device="cpu", model="none")
    found = register(small_request(options=options))
    whole = found.displacement
    torch.testing.assert_close(found.jacobian, jacobian_determinant(whole.u_mm, whole.grid))


@pytest.mark.parametrize(
    ("shift", "there"), [(0.4, True), (0.6, False), (-0.4, True), (-0.6, False)]
)
def test_half_a_voxel_beyond_the_scan_is_seen_and_no_more(shift, there):
    values = torch.arange(16.0).view(4, 4) - 1000
    values[1, 1] = -1024
    moving, u_mm = side_of(values), torch.zeros(1, 2, 4, 4)
    u_mm[:, 0] = shift
    shown = outcome(moving, None, u_mm, moving.image.grid)
    edge = (0, 0, 2, 3 if shift > 0 else 0)
    assert shown.counted[edge] == there
    assert shown.warped.data[edge] == (values[edge[2:]] if there else -1024)


@pytest.mark.parametrize("columns", [20, 40])
def test_likeness_counts_what_lies_in_both_masks(columns):
    values = torch.rand(20, columns)
    spoilt = values.clone()
    spoilt[:8], spoilt[12:] = torch.rand(2, 8, columns)
    upper, lower = torch.zeros(2, 1, 1, 20, columns, dtype=torch.bool)
    upper[..., 8:, :] = True
    lower[..., :12, :] = True
    fixed, moving = side_of(values, upper), side_of(spoilt, lower)
    shown = outcome(moving, None, torch.zeros(1, 2, 20, columns), moving.image.grid)
    expected = pytest.approx(1.0) if columns == 40 else None  # 80 voxels say nothing
    assert _likeness(fixed, shown) == expected


def test_what_only_one_scan_shows_makes_the_rest_no_less_alike():
    fixed = side_of(1 + torch.rand(10, 20, 20, generator=torch.Generator().manual_seed(0)))
    moving = side_of(fixed.data[0, 0, :6] + 0.01 * torch.rand(6, 20, 20))
    shown = outcome(moving, None, torch.zeros(1, 3, 10, 20, 20), fixed.image.grid)
    assert int(shown.counted.sum()) == 6 * 400
    assert _unlikeness(fixed, shown) < 0.1 * UNLIKE


def test_one_setting_of_all_tissues_is_what_a_network_gets():
    asked = []

    class Field(NetworkField):
        def __init__(self) -> None: ...

        def displacement(self, *given: Any) -> Any:
            asked.append(given)

    same = Elasticity(0.2, 0.3)
    options = RegistrationOptions(tissues=dict.fromkeys(("background", "body", "organ"), same))
    _network_answer(small_request(options=options), Field())
    assert asked == [(same, {})]


def test_a_phase_image_has_its_own_range():
    phase = side_of(torch.linspace(-4096, 4095, 400).view(20, 20)).image
    assert normalised(phase).median().item() == pytest.approx(0.5, abs=0.01)
