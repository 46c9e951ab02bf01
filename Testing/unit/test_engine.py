"""From a request to a result: intensities, masks, maps, the whole map and what is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import (
    Elasticity,
    Grid,
    Image,
    InputError,
    LabelMap,
    RegistrationOptions,
    RegistrationRequest,
    register,
)
from ElasticHyperRegLib.alignment import enlargement
from ElasticHyperRegLib.engine.check import check_request
from ElasticHyperRegLib.engine.elasticity import coefficients, used_elasticity
from ElasticHyperRegLib.engine.intensity import field_of_view, normalised, without_padding
from ElasticHyperRegLib.engine.prepare import RIM_MM, dilated, prepare
from ElasticHyperRegLib.engine.solver_settings import solver_settings
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import (
    transform_points,
)
from ElasticHyperRegLib.metrics import inverse_consistency_mm
from Testing.unit.small_pair import CENTRE, SHIFT, STRETCH, small_request, to_moving

QUICK = RegistrationOptions(initial="none", refine=3, device="cpu")
TRUE_MATRIX = np.eye(4)
TRUE_MATRIX[:3, :3] = STRETCH
TRUE_MATRIX[:3, 3] = CENTRE + SHIFT - STRETCH @ CENTRE


@pytest.fixture(scope="module")
def result():
    return register(small_request(options=QUICK))


def image_of(values: torch.Tensor, dtype: str = "float32") -> Image:
    return Image(values[None, None], Grid(tuple(values.shape), np.eye(4)), "scan", dtype)


# Intensities


def test_padding_is_no_air():
    values = torch.linspace(-1024, 900, 6**3).view(6, 6, 6)
    values[0] = -2048
    values[1, 0] = -1700  # half padding, half air: the edge of a resampled field of view
    image = image_of(values)
    seen = field_of_view(image)
    assert seen is not None
    assert int((~seen).sum()) == 36 + 6
    assert float(without_padding(image).data.min()) == -1024
    assert torch.equal(without_padding(image).data[seen], image.data[seen])


def test_values_that_are_no_padding_stay():
    ct = image_of(torch.linspace(-1024, 900, 125).view(5, 5, 5))
    phase = image_of(torch.linspace(-4096, 4095, 125).view(5, 5, 5))
    for image in (ct, phase):
        assert field_of_view(image) is None
        assert without_padding(image) is image


def test_ct_has_a_fixed_window():
    values = torch.full((4, 4, 4), -1000.0)
    values[0, 0, :4] = torch.tensor([600.0, -200.0, 3000.0, -1010.0])
    scaled = normalised(image_of(values))[0, 0, 0, 0]
    torch.testing.assert_close(scaled, torch.tensor([1.0, 0.5, 1.0, 0.0]))


def test_a_voxel_that_undershoots_makes_no_ct():
    values = torch.linspace(0, 4000, 20**3).view(20, 20, 20)
    values[3, 3, 3] = -600.0
    assert float(normalised(image_of(values))[0, 0, 10, 0, 0]) == pytest.approx(0.5, abs=0.02)
    values[:2] = -600.0
    assert float(normalised(image_of(values))[0, 0, 10, 0, 0]) == 1


def test_padding_is_seen_through_the_ringing_of_a_spline():
    values = torch.full((20, 20, 20), -2000.0)
    values[4:16, 4:16, 4:16] = torch.linspace(-1000, 600, 12**3).view(12, 12, 12)
    values[3, 4:16, 4:16], values[2, 4:16, 4:16] = -2191.0, -1960.0
    seen = field_of_view(image_of(values))
    assert seen is not None
    assert int(seen.sum()) == 12**3
    assert float(without_padding(image_of(values)).data.min()) == -1024


def test_other_images_use_what_is_not_background():
    values = torch.zeros(20, 20, 20)
    values[5:15] = torch.linspace(100, 300, 4000).view(10, 20, 20)
    values[9, 9, 9] = 1e6  # a spike
    scaled = normalised(image_of(values))[0, 0]
    assert float(scaled[0].max()) == 0
    assert float(scaled[5, 0, 0]) == 0
    assert float(scaled[10, 0, 0]) == pytest.approx(0.5, abs=0.02)
    assert float(scaled[9, 9, 9]) == 1
    assert set(normalised(image_of((values > 0).float())).unique().tolist()) == {0, 1}


# Tissues


def painted(**tissues: Elasticity) -> Any:
    options = RegistrationOptions(elasticity=Elasticity(0.0, 0.3), tissues=tissues)
    return small_request(options=options)


def test_every_tissue_gets_its_own_values():
    request = painted(organ=Elasticity(0.2, 0.5), background=Elasticity(0.0, 0.01))
    lam, mu = coefficients(request)
    assert isinstance(lam, torch.Tensor)
    assert isinstance(mu, torch.Tensor)
    for label, values in ((0, (0.0, 0.01)), (1, (0.0, 0.3)), (2, (0.2, 0.5))):
        here = request.fixed_labels.data == label
        assert lam[here].unique().tolist() == pytest.approx([values[0]])
        assert mu[here].unique().tolist() == pytest.approx([values[1]])
    assert used_elasticity(request) == {
        "background": [0.0, 0.01],
        "body": [0.0, 0.3],
        "organ": [0.2, 0.5],
    }


def test_without_tissues_there_are_no_maps():
    assert coefficients(painted()) == (0.0, 0.3)
    assert used_elasticity(painted()) == {"everywhere": [0.0, 0.3]}


def test_unnamed_labels_go_by_their_number():
    request = painted(**{"2": Elasticity(0.1, 0.4)})
    unnamed = replace(request.fixed_labels, names={})
    plain = replace(request, fixed_labels=unnamed, moving_labels=None)
    check_request(plain)
    assert set(used_elasticity(plain)) == {"background", "1", "2"}
    with pytest.raises(InputError, match=r"for 2; expected tissues of fixed labels: backgr.*organ"):
        check_request(request)


def test_a_name_that_one_label_map_has_holds_for_both():
    request = painted(organ=Elasticity(0.1, 0.4))
    named, unnamed = request.fixed_labels, replace(request.fixed_labels, names={})
    lent = replace(request, fixed_labels=unnamed)
    check_request(lent)
    assert set(used_elasticity(lent)) == {"background", "body", "organ"}
    assert unnamed.names == {}
    back = replace(request, moving_labels=replace(request.moving_labels, names={}))
    assert back.moving_labels.names == named.names
    # A name that stands for another label already, or a label that does not occur, lends nothing.
    own = replace(named, names={1: "organ"})
    assert replace(request, fixed_labels=own).fixed_labels.names == {1: "organ"}
    more = replace(request.moving_labels, names={**named.names, 7: "tumour"})
    kept = replace(request, fixed_labels=unnamed, moving_labels=more).fixed_labels.names
    assert kept == named.names


def test_tissues_need_labels():
    with pytest.raises(InputError, match="for organ without fixed labels"):
        check_request(replace(painted(organ=Elasticity(0, 0.1)), fixed_labels=None))


# Masks


def test_margin_is_in_millimetres():
    grid = Grid.from_spacing((9, 15, 31), (1.0, 2.0, 5.0))
    mask = torch.zeros(1, 1, *grid.shape, dtype=torch.bool)
    mask[0, 0, 4, 7, 15] = True
    wide = dilated(mask, grid, 10.0)[0, 0]
    assert wide[4, 7].nonzero().flatten().tolist() == list(range(5, 26))
    assert wide[4, :, 15].nonzero().flatten().tolist() == list(range(2, 13))
    assert wide[:, 7, 15].nonzero().flatten().tolist() == [2, 3, 4, 5, 6]


def test_a_mask_counts_within_the_field_of_view():
    request = small_request()
    data = request.fixed.data.clone()
    data[:, :, :4] = -3024
    mask = LabelMap((request.fixed_labels.data == 2).int(), request.fixed.grid)
    assert prepare(small_request()).fixed.mask is None
    fixed = prepare(replace(request, fixed=replace(request.fixed, data=data))).fixed
    assert fixed.mask is not None
    assert torch.equal(fixed.mask, data != -3024)
    assert float(fixed.image.data.min()) == -1024
    both = prepare(replace(request, fixed=replace(request.fixed, data=data), fixed_mask=mask)).fixed
    assert both.mask is not None
    enlarged = enlargement(request.fixed.grid, request.moving.grid)
    with_rim = dilated(mask.data > 0, mask.grid, RIM_MM / enlarged)
    assert torch.equal(both.mask, with_rim & (data != -3024))
    assert both.mask.sum() > ((mask.data > 0) & (data != -3024)).sum()


# A registration


def test_it_finds_the_deformation(result):
    points = result.request.fixed_points
    u_mm, grid = result.displacement.u_mm, result.displacement.grid
    off = np.linalg.norm(transform_points(points, u_mm, grid) - to_moving(points), axis=1)
    assert off.max() < 1.5
    back = transform_points(to_moving(points), result.inverse.u_mm, result.inverse.grid)
    assert np.linalg.norm(back - points, axis=1).max() < 1.5
    assert result.inverse.grid is result.request.moving.grid


def test_metrics_say_what_they_should(result):
    metrics = result.metrics
    assert set(metrics) == {
        "ncc", "dice", "mean_dice", "hd95_mm", "tre_mm", "folds_fraction", "jacobian",
        "inverse_consistency_mm", "elasticity", "model", "device", "seconds",
        "peak_memory_mib", "version", "objective", "stopped", "model_choice", "similarity",
    }  # fmt: skip
    points = result.request.fixed_points
    before = np.linalg.norm(points - to_moving(points), axis=1).mean()
    assert metrics["tre_mm"]["before"] == pytest.approx(before)
    assert metrics["tre_mm"]["after"] < 0.3 * before
    assert metrics["tre_mm"]["n"] == 4
    assert metrics["ncc"]["after"] > 0.99 > metrics["ncc"]["before"]
    assert set(metrics["dice"]) == set(metrics["hd95_mm"]) == {"body", "organ"}
    assert metrics["mean_dice"]["after"] > metrics["mean_dice"]["before"] + 0.1
    assert metrics["folds_fraction"] == 0
    assert set(metrics["jacobian"]) == {"min", "max", "p01", "p99", "std_log"}
    assert metrics["inverse_consistency_mm"]["max"] < 1
    assert metrics["objective"]["after"] <= metrics["objective"]["before"]
    assert set(metrics["seconds"]) == {"prepare", "initial", "refine", "measure", "total"}
    assert metrics["model"] == "none (no trained model fits)"
    assert metrics["model_choice"]
    json.dumps(metrics, allow_nan=False)


def test_warped_scan_keeps_its_units(result):
    assert result.warped.dtype == "int16"
    assert result.warped.grid is result.request.fixed.grid
    assert float(result.warped.data.min()) == pytest.approx(-1000, abs=0.01)
    organ = result.request.fixed_labels.data == 2
    truth = float(result.request.fixed.data[organ].mean())
    assert float(result.warped.data[organ].mean()) == pytest.approx(truth, abs=30)
    assert set(result.warped_labels.data.unique().tolist()) <= {0, 1, 2}
    assert result.warped_labels.names == {1: "body", 2: "organ"}


def test_equal_requests_give_equal_fields():
    options = replace(QUICK, initial="affine", seed=5)
    first, second = (register(small_request(options=options)) for _ in range(2))
    assert np.array_equal(first.initial, second.initial)
    assert torch.equal(first.displacement.u_mm, second.displacement.u_mm)
    assert torch.equal(first.inverse.u_mm, second.inverse.u_mm)
    timeless = [{k: v for k, v in r.metrics.items() if k[:4] not in ("seco", "peak")}
                for r in (first, second)]  # fmt: skip
    assert timeless[0] == timeless[1]


def test_a_given_alignment_is_kept_and_is_not_the_state_before(result):
    options = replace(QUICK, initial=tuple(map(tuple, TRUE_MATRIX.tolist())))
    found = register(small_request(options=options))
    np.testing.assert_array_equal(found.initial, TRUE_MATRIX)
    assert found.metrics["tre_mm"]["after"] < 1
    for key in ("tre_mm", "ncc", "mean_dice"):
        assert found.metrics[key]["before"] == result.metrics[key]["before"]


def test_slices_are_registered_too():
    found = register(small_request(dim=2, options=QUICK))
    assert found.displacement.u_mm.shape[1] == 2
    assert found.metrics["mean_dice"]["after"] > found.metrics["mean_dice"]["before"] + 0.1
    forth, back = found.displacement, found.inverse
    assert inverse_consistency_mm(forth.u_mm, back.u_mm, forth.grid, back.grid)["mean"] < 0.2


def test_tissues_and_masks_reach_the_solver():
    options = replace(QUICK, refine=None, elasticity=Elasticity(0, 0.1))
    stiff = replace(options, tissues={"organ": Elasticity(0.1, 0.89)})
    request = small_request()
    mask = replace(request.fixed_labels, data=(request.fixed_labels.data > 0).int())
    found, soft, unmasked = (
        register(replace(request, options=how, fixed_mask=where))
        for how, where in ((stiff, mask), (options, mask), (stiff, None))
    )
    organ = request.fixed_labels.data == 2
    change = [(r.jacobian[organ] - 1).abs().mean() for r in (found, soft)]
    assert change[0] < 0.75 * change[1]
    assert found.metrics["elasticity"]["organ"] == [0.1, 0.89]
    apart = (found.displacement.u_mm - unmasked.displacement.u_mm).norm(dim=1)
    assert apart.max() > 0.5


def test_progress_only_grows():
    seen = []
    register(small_request(options=QUICK), progress=lambda step, part: seen.append((step, part)))
    parts = [part for _, part in seen]
    assert parts == sorted(parts)
    assert parts[0] == 0
    assert parts[-1] == pytest.approx(1)
    assert list(dict.fromkeys(step for step, _ in seen)) == [
        "prepare", "initial", "refine", "measure"
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [0, 1, 5])
def test_it_can_be_stopped(asked):
    answers = iter([False] * asked)
    with pytest.raises(Cancelled):
        register(small_request(options=QUICK), cancelled=lambda: next(answers, True))


def test_refine_limits_the_finest_level_alone():
    plain = solver_settings(RegistrationOptions(), 3, None)
    limited = solver_settings(RegistrationOptions(refine=7), 3, None)
    assert limited.levels[-1].iterations == 7
    assert limited.levels[:-1] == plain.levels[:-1]
    assert replace(limited, levels=plain.levels) == plain


def test_a_mask_says_as_much_of_a_small_object_as_of_a_large_one():
    """Its margins are those of a body."""
    request = small_request()
    mask = LabelMap((request.fixed_labels.data == 2).int(), request.fixed.grid)
    shares = []
    for factor in (0.02, 1.0):
        matrix = request.fixed.grid.ijk_to_ras.copy()
        matrix[:-1] *= factor
        grid = Grid(request.fixed.grid.shape, matrix)
        image = replace(request.fixed, grid=grid)
        small = RegistrationRequest(image, image, fixed_mask=replace(mask, grid=grid))
        found = prepare(small).fixed.mask
        assert found is not None
        shares.append(float(found.float().mean()))
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
    assert shares[0] < 0.9
