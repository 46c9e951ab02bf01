"""A trained model bound to a pair: its grid, what it is shown, what comes back into the world."""

from __future__ import annotations

from dataclasses import replace

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
from ElasticHyperRegLib.engine import NetworkField, NetworkOptions
from ElasticHyperRegLib.engine.network_grid import network_grid, towards_ras
from ElasticHyperRegLib.engine.prepare import prepare
from ElasticHyperRegLib.engine.solver_settings import COARSEST_AFTER_VOLUMES, solver_settings
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import to_grid, transform_points
from ElasticHyperRegLib.solver import SolverOptions
from ElasticHyperRegLib.weights import list_models, load_model
from Testing.conftest import make_oblique_grid
from Testing.unit.small_pair import CENTRE, small_request
from Testing.unit.tiny_models import constant, install, lively, tiny_spec

pytestmark = pytest.mark.usefixtures("models")

CPU = torch.device("cpu")
QUICK = RegistrationOptions(initial="none", refine=0, device="cpu")
MR = {"modality": "MR", "intensity_window": None}
SOFT, HARD = Elasticity(0.0, 0.1), Elasticity(0.1, 0.8)


def bound(folder, request: RegistrationRequest, initial=None, options=None) -> NetworkField:
    matrix = np.eye(request.fixed.grid.ndim + 1) if initial is None else initial
    return NetworkField(
        load_model(folder),
        prepare(request),
        matrix,
        request.fixed_labels,
        CPU,
        options or NetworkOptions(),
    )


def stack_request() -> RegistrationRequest:
    """Thick oblique slices with some contrast."""
    grid = make_oblique_grid((5, 30, 26), (1.5, 1.4, 9.0), 30)
    shift = torch.linspace(0, 6, grid.voxels).view(1, 1, *grid.shape)
    fixed, moving = (
        Image(100 * (1 + torch.sin(shift * k)) + 20 * shift, grid, name)
        for k, name in ((31.0, "fixed"), (33.0, "moving"))
    )
    return RegistrationRequest(fixed, moving, options=QUICK)


# The grid


def test_grid_has_the_models_spacing_over_the_whole_image(models):
    card = install(lively(tiny_spec()), models / "thorax")
    fixed = Grid.from_spacing((40, 90, 80), (1.0, 1.0, 2.0), (5.0, -7.0, 11.0))
    grid = network_grid(card, fixed)
    assert grid.shape == (27, 30, 27)
    assert grid.spacing == pytest.approx((3, 3, 3), rel=0.02)
    faces = [g.origin - np.asarray(g.spacing) / 2 for g in (fixed, grid)]
    np.testing.assert_allclose(faces[0], faces[1], atol=1e-9)


def test_a_much_larger_image_gets_a_coarser_grid_and_says_so(models):
    install(lively(tiny_spec()), models / "thorax", {"size": [8, 8, 8]})
    request = small_request()
    field = bound(models / "thorax", request)
    assert 0.8 * 8 * 8**3 < field.grid.voxels < 1.2 * 8 * 8**3
    assert "coarser than it was trained at" in field.note
    usual = bound(models / "thorax", request, options=NetworkOptions(coarsening=2))
    assert min(usual.grid.spacing) > 5


def test_axes_are_reordered_towards_ras():
    turned = np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]])
    grid = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0), (10.0, 20.0, 30.0), turned)
    found = towards_ras(grid)
    np.testing.assert_allclose(found.direction, np.eye(3))
    assert list(found.spacing) == [3, 1, 2]
    assert list(found.size) == [4, 6, 5]
    np.testing.assert_allclose(found.origin, [10 - 3 * 3, 20, 30 - 4 * 2])


def test_a_patient_looks_the_same_however_the_file_stores_it(models):
    install(lively(tiny_spec()), models / "thorax")
    request = small_request(options=QUICK)
    grid = request.fixed.grid
    matrix = grid.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, 0] * (grid.size[0] - 1)
    matrix[:3, 0] *= -1
    matrix[:3, :3] = matrix[:3, [0, 2, 1]]
    data = request.fixed.data.flip(4).transpose(2, 3).contiguous()
    stored = Image(data, Grid(tuple(data.shape[2:]), matrix), "fixed")
    fields = [bound(models / "thorax", r) for r in (request, replace(request, fixed=stored))]
    points = CENTRE + np.array([[0, 0, 0], [8, 3, -5], [-6, -7, 9.0]])
    moved = [transform_points(points, field.displacement(SOFT, {}), field.grid) for field in fields]
    assert np.abs(moved[0] - points).max() > 0.5
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-3)


# What comes back


def test_voxels_become_millimetres_in_the_world(models):
    install(constant(tiny_spec(), (0.5, -1.0, 2.0)), models / "thorax")
    field = bound(models / "thorax", small_request())
    d_mm = field.displacement(SOFT, {})
    expected = field.grid.ijk_to_ras[:3, :3] @ np.array([0.5, -1.0, 2.0])
    assert d_mm.shape == (1, 3, *field.grid.shape)
    np.testing.assert_allclose(d_mm[0, :, 9, 8, 7], expected, atol=1e-4)


def test_a_stack_moves_within_its_slices(models):
    install(constant(tiny_spec(ndim=2), (1.0, -2.0)), models / "heart", {**MR, "size": [16, 16]})
    request = stack_request()
    field = bound(models / "heart", request)
    fixed = request.fixed.grid
    assert field.grid.shape[0] == fixed.shape[0]
    assert field.grid.spacing == pytest.approx((3.0, 3.0, 9.0), rel=0.05)
    d_mm = field.displacement(SOFT, {})[0]
    expected = field.grid.ijk_to_ras[:3, :2] @ np.array([1.0, -2.0])
    np.testing.assert_allclose(d_mm[:, 2, 5, 5], expected, atol=1e-4)
    through = torch.einsum("a,a...->...", torch.tensor(fixed.direction[:, 2]).float(), d_mm)
    assert float(through.abs().max()) < 1e-5


def test_a_stack_can_be_stopped_between_its_slices(models):
    install(lively(tiny_spec(ndim=2)), models / "heart", MR)
    asked: list[int] = []

    def check() -> None:
        asked.append(len(asked))
        if len(asked) > 1:
            raise Cancelled("a newer request came")

    field = bound(models / "heart", stack_request())
    with pytest.raises(Cancelled):
        field.displacement(SOFT, {}, check)
    assert asked == [0, 1]


def test_slices_of_a_stack_do_not_see_each_other(models):
    install(lively(tiny_spec(ndim=2)), models / "heart", MR)
    request = stack_request()
    brighter = request.fixed.data.clone()
    brighter[:, :, 3] = 5 * brighter[:, :, 3] + 7  # min–max takes a slice's own scale out
    other = request.fixed.data.clone()
    other[:, :, 3] = other[:, :, 3].flip(-1)
    plain, scaled, changed = (
        bound(models / "heart", replace(request, fixed=Image(d, request.fixed.grid))).displacement(
            SOFT, {}
        )
        for d in (request.fixed.data, brighter, other)
    )
    torch.testing.assert_close(plain, scaled, atol=1e-3, rtol=1e-3)
    same = [k for k in range(5) if torch.equal(plain[:, :, k], changed[:, :, k])]
    assert same == [0, 1, 2, 4]


def test_the_moving_image_is_seen_through_the_alignment(models):
    install(lively(tiny_spec()), models / "thorax")
    request = small_request()
    shift = np.eye(4)
    shift[:3, 3] = (40.0, -25.0, 60.0)
    moving = request.moving
    away = Image(moving.data, Grid(moving.grid.shape, shift @ moving.grid.ijk_to_ras), "away")
    here = bound(models / "thorax", request).displacement(SOFT, {})
    there = bound(models / "thorax", replace(request, moving=away, moving_labels=None), shift)
    torch.testing.assert_close(here, there.displacement(SOFT, {}), atol=1e-2, rtol=1e-2)
    not_aligned = bound(models / "thorax", replace(request, moving=away, moving_labels=None))
    assert (not_aligned.displacement(SOFT, {}) - here).abs().max() > 0.1


def test_slices_need_a_model_for_slices(models):
    install(lively(tiny_spec()), models / "thorax")
    with pytest.raises(InputError, match="2D images for thorax, a 3D model"):
        bound(models / "thorax", small_request(dim=2))


# λ and μ


def test_a_global_model_takes_one_setting(models):
    install(lively(tiny_spec()), models / "thorax")
    field = bound(models / "thorax", small_request())
    assert field.tissues == ()
    assert torch.equal(field.displacement(SOFT, {}), field.displacement(SOFT, {"organ": SOFT}))
    assert not torch.equal(field.displacement(SOFT, {}), field.displacement(HARD, {}))
    with pytest.raises(InputError, match="different λ and μ for organ; expected one setting"):
        field.displacement(SOFT, {"organ": HARD})


def test_a_tissue_model_takes_its_tissues_in_order(models):
    tissues = ("background", "body", "organ")
    install(lively(tiny_spec("elas-sas", tissues=tissues)), models / "sas")
    field = bound(models / "sas", small_request())
    assert field.tissues == tissues
    found = field.displacement(SOFT, {"organ": HARD})
    rows = torch.tensor([[0.0, 0.1], [0.0, 0.1], [0.1, 0.8]])
    torch.testing.assert_close(found, field.predict(rows))
    assert not torch.equal(found, field.predict(rows.flip(0)))
    with pytest.raises(InputError, match="for spleen; expected tissues that sas knows: backgr"):
        field.displacement(SOFT, {"spleen": HARD})


def test_a_map_model_paints_the_labels(models):
    install(lively(tiny_spec("CSAIN-elastic", map_sigma_vox=0.0)), models / "map")
    request = small_request()
    field = bound(models / "map", request)
    assert set(field.tissues) == {"background", "body", "organ"}
    uniform = field.displacement(SOFT, {})
    torch.testing.assert_close(
        uniform, field.displacement(HARD, dict.fromkeys(field.tissues, SOFT))
    )
    differing = field.displacement(SOFT, {"organ": HARD})
    change = (differing - uniform).norm(dim=1)[0]
    assert float(change.max()) > 1e-4
    without = replace(request, fixed_labels=None)
    plain = bound(models / "map", without)
    assert plain.tissues == ()
    torch.testing.assert_close(plain.displacement(SOFT, {}), uniform)


def test_one_weight_stands_for_both(models):
    install(lively(tiny_spec("diff-g")), models / "diff")
    field = bound(models / "diff", small_request())
    same = [field.displacement(Elasticity(a, 0.5 - a), {}) for a in (0.0, 0.25)]
    torch.testing.assert_close(same[0], same[1])
    assert not torch.equal(same[0], field.displacement(Elasticity(0.0, 0.1), {}))


def test_the_field_has_a_gradient_by_the_sliders(models):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    field = bound(models / "map", small_request())
    values = torch.full((len(field.tissues), 2), 0.2, requires_grad=True)
    field.predict(values).square().mean().backward()
    assert values.grad is not None
    assert bool((values.grad.abs().sum(1) > 0).all())


def test_velocity_is_what_is_integrated(models):
    install(constant(tiny_spec(), (0.5, 0.0, 0.0)), models / "thorax")
    field = bound(models / "thorax", small_request())
    torch.testing.assert_close(field.velocity(SOFT, {}), field.displacement(SOFT, {}))
    install(lively(tiny_spec(), scale=3.0), models / "thorax")
    field = bound(models / "thorax", small_request())
    assert not torch.equal(field.velocity(SOFT, {}), field.displacement(SOFT, {}))


# A registration


def test_the_network_alone(models):
    install(lively(tiny_spec()), models / "thorax")
    request = small_request(options=replace(QUICK, model="thorax"))
    result, again = register(request), register(request)
    field = bound(models / "thorax", request)
    expected = to_grid(
        field.displacement(request.options.elasticity, {}), field.grid, request.fixed.grid
    )
    torch.testing.assert_close(result.displacement.u_mm, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(result.displacement.u_mm, again.displacement.u_mm)
    metrics = result.metrics
    assert metrics["model"] == "thorax"
    assert len(metrics["model_sha256"]) == 64
    assert set(metrics["seconds"]) == {"prepare", "initial", "network", "measure", "total"}
    assert metrics["stopped"] == result.stopped == "not refined"
    assert "objective" not in metrics


def test_the_solver_goes_on_from_the_network(models):
    install(constant(tiny_spec(), (0.8, -1.0, 0.5)), models / "thorax")
    request = small_request(options=replace(QUICK, model="thorax"))
    alone = register(request)
    refined = register(replace(request, options=replace(request.options, refine=8)))
    assert "refine" in refined.metrics["seconds"]
    objective = refined.metrics["objective"]
    assert objective["after"] < objective["before"]
    assert refined.metrics["ncc"]["after"] > alone.metrics["ncc"]["after"]
    apart = (refined.displacement.u_mm - alone.displacement.u_mm).norm(dim=1)
    assert 0 < float(apart.median()) < float(alone.displacement.u_mm.norm(dim=1).median())


@pytest.mark.parametrize(("ndim", "levels"), [(2, 1), (3, 2)])
def test_refining_is_the_finest_levels_with_at_most_so_many_iterations_of_the_last(ndim, levels):
    whole = SolverOptions.for_dimension(ndim).levels
    slices = next(card for card in list_models() if card.name == "cardiac-elas-g")
    usual = solver_settings(RegistrationOptions(), ndim, slices)
    assert usual.levels == whole[-levels:]
    asked = solver_settings(RegistrationOptions(refine=5), ndim, slices)
    assert asked.levels == (*whole[-levels:-1], replace(whole[-1], iterations=5))


def test_a_model_of_volumes_is_finished_on_all_levels():
    cards = {card.name: card for card in list_models()}
    usual, asked = RegistrationOptions(), RegistrationOptions(refine=7)

    def iterations(options: RegistrationOptions, model: str) -> tuple[int, ...]:
        levels = solver_settings(options, 3, cards[model]).levels
        return tuple(level.iterations for level in levels)

    whole = tuple(level.iterations for level in SolverOptions.for_dimension(3).levels)
    assert iterations(usual, "thorax-elas-g") == (COARSEST_AFTER_VOLUMES, *whole[1:])
    assert iterations(asked, "thorax-elas-g") == (COARSEST_AFTER_VOLUMES, whole[1], 7)
    assert iterations(usual, "cardiac-elas-g") == whole[1:]
    for options in (usual, asked):
        after = solver_settings(options, 3, cards["thorax-elas-g"]).levels
        assert not any(level.smoothing for level in after)  # nodes go by themselves from afar too


def test_tissues_reach_a_map_model(models):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    given = replace(QUICK, model="map", elasticity=SOFT)
    uniform, differing = (
        register(small_request(options=replace(given, tissues=tissues)))
        for tissues in ({}, {"organ": HARD})
    )
    assert not torch.equal(uniform.displacement.u_mm, differing.displacement.u_mm)
    assert differing.metrics["elasticity"]["organ"] == [0.1, 0.8]


def test_slices_go_through_a_slice_model(models):
    install(lively(tiny_spec(ndim=2)), models / "slice")
    result = register(small_request(dim=2, options=replace(QUICK, model="slice", refine=2)))
    assert result.metrics["model"] == "slice"
    assert result.displacement.u_mm.shape[1] == 2


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_labels_are_painted_where_they_are(models, axis):
    """A setting changes the field where its label is, in the world."""
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    request = small_request()
    grid = request.fixed.grid
    data = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
    far, here = (torch.arange(grid.shape[axis - 2]).chunk(2)[half] for half in (0, 1))
    data.index_fill_(axis, here, 70001)  # more than a byte could hold
    field = bound(models / "map", replace(request, fixed_labels=LabelMap(data, grid)))
    assert field.tissues == ("background", "70001")
    pair = (field.displacement(SOFT, {name: HARD}) for name in field.tissues)
    still = field.displacement(SOFT, {})
    changes = [to_grid(d - still, field.grid, grid).norm(dim=1, keepdim=True) for d in pair]
    for change, near, away in zip(changes, (far, here), (here, far), strict=True):
        assert change.index_select(axis, near).mean() > change.index_select(axis, away).mean()
