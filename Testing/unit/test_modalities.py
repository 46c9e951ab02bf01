"""Two modalities: what is chosen, that it finds the way, however both scans are stored."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.modalities import as_mr
from ElasticHyperRegLib import (
    Displacement,
    Image,
    InputError,
    RegistrationOptions,
    RegistrationRequest,
    Session,
    read_image,
    register,
)
from ElasticHyperRegLib.engine.check import check_options
from ElasticHyperRegLib.engine.model import model_choice
from ElasticHyperRegLib.engine.similarity import in_fixed_frame, similarity_of
from ElasticHyperRegLib.estimation import Evidence
from ElasticHyperRegLib.estimation.place import Place
from ElasticHyperRegLib.estimation.terms import Similarity
from ElasticHyperRegLib.grid import apply_matrix, coarser, grid_to_grid, sample, voxel_points
from ElasticHyperRegLib.io import write_image
from ElasticHyperRegLib.phantom import Phantom, PhantomOptions, make_phantom
from ElasticHyperRegLib.solver import Problem
from ElasticHyperRegLib.types import Grid, LabelMap
from Testing.conftest import make_oblique_grid
from Testing.unit.cli_help import QUICK, run
from Testing.unit.small_pair import write_pair

ALONE = RegistrationOptions(model="none", device="cpu")


@pytest.fixture(scope="module")
def breath() -> Phantom:
    return make_phantom(PhantomOptions(64, seed=3))


def error(request: RegistrationRequest, breath: Phantom) -> float:
    """Mean distance from the truth in the body, mm."""
    found: Displacement = register(request).displacement
    body = (breath.fixed_labels.data > 0)[:, 0]
    return float((found.u_mm - breath.displacement.u_mm).norm(dim=1)[body].mean())


def stored_otherwise(image: Image) -> Image:
    """The same voxels, counted from other corners and along other axes."""
    k, j, i = image.grid.shape
    order = np.zeros((4, 4))
    order[0, 1], order[1, 0], order[2, 2], order[3, 3] = -1, 1, -1, 1
    order[0, 3], order[2, 3] = i - 1, k - 1
    grid = Grid((k, i, j), image.grid.ijk_to_ras @ order)
    back = apply_matrix(grid_to_grid(grid, image.grid), voxel_points(grid.shape, image.data))
    return Image(sample(image.data, back, "nearest"), grid, image.name)


def test_a_ct_and_something_else_are_compared_across_modalities(breath):
    pair = RegistrationRequest(breath.fixed, breath.moving)
    assert similarity_of(pair) == "ncc"
    across = replace(pair, moving=as_mr(breath.moving))
    assert similarity_of(across) == "mind"
    assert model_choice(across).reason == "no model compares across modalities"
    for options, expected in (
        (replace(ALONE, similarity="ncc"), "ncc"),
        (replace(ALONE, model="thorax-elas-g"), "ncc"),
        (ALONE, "mind"),
    ):
        assert similarity_of(replace(across, options=options)) == expected
    cropped = Image(breath.moving.data.clamp(min=-150), breath.moving.grid, "soft tissue alone")
    assert similarity_of(replace(pair, moving=cropped)) == "ncc"


@pytest.mark.parametrize("stored", [lambda image: image, stored_otherwise])
def test_the_way_is_found_across_modalities(breath, stored):
    request = RegistrationRequest(breath.fixed, stored(as_mr(breath.moving)), options=ALONE)
    body = (breath.fixed_labels.data > 0)[:, 0]
    before = float(breath.displacement.u_mm.norm(dim=1)[body].mean())
    assert error(request, breath) < 0.8 * before
    assert error(replace(request, options=replace(ALONE, similarity="ncc")), breath) > before


def test_what_does_not_compare_is_not_told(breath):
    request = RegistrationRequest(breath.fixed, as_mr(breath.moving), options=ALONE)
    metrics = register(replace(request, options=replace(ALONE, refine=0))).metrics
    assert metrics["similarity"] == "mind"
    assert "ncc" not in metrics


def test_a_session_says_how_it_compares(breath):
    with Session(breath.fixed, as_mr(breath.moving), model="auto", device="cpu") as session:
        assert session.notes[0] == "compared across modalities, by MIND-SSC: the solver answers"
        assert session.model_name == "none"


def test_a_moving_image_is_brought_along_the_fixed_axes():
    """A linear ramp keeps its world values."""
    grid = make_oblique_grid((40, 30, 30))
    ramp = voxel_points(grid.shape, torch.zeros(1))[:, :1].contiguous()
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    middle = np.linalg.inv(turn) @ grid.ijk_to_ras @ [14.5, 14.5, 19.5, 1]
    fixed = Grid.from_spacing((16, 16, 16), (0.8,) * 3, middle[:3] - 6)
    problem = Problem(torch.rand(1, 1, *fixed.shape), ramp, fixed, grid, 0.0, 0.0, turn)
    found = in_fixed_frame(problem)
    assert found.initial is None
    assert found.moving_grid.voxels > fixed.voxels
    np.testing.assert_allclose(found.moving_grid.direction, fixed.direction, atol=1e-9)
    world = apply_matrix(found.moving_grid.ijk_to_ras, voxel_points(found.moving_grid.shape, ramp))
    places = apply_matrix(grid.ras_to_ijk @ turn, world)[:, :1]
    torch.testing.assert_close(found.moving, places.clamp(0, 29), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"similarity": "mi"}, "the similarity 'mi'; expected auto, ncc, mind"),
        ({"similarity": "mind", "model": "thorax-elas-g"}, "beside the similarity mind"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        check_options(RegistrationOptions(**options))


def inverted(image: Image) -> Image:
    return Image(image.data.max() - image.data, image.grid, "inverted")


def test_the_command_compares_two_contrasts(tmp_path, capsys):
    pair, other, out = write_pair(tmp_path), tmp_path / "inverted.nrrd", tmp_path / "out"
    write_image(inverted(read_image(pair.moving)), other)
    words = ("--fixed", pair.fixed, "--moving", other, "--out", out, *QUICK)
    code, said, _ = run(capsys, "register", *words, "--similarity", "mind")
    assert (code, "compared across modalities" in said) == (0, True)
    command = json.loads((out / "request.json").read_text("utf-8"))["command"]
    assert command[command.index("--similarity") + 1] == "mind"
    assert (out / "preview.png").stat().st_size > 10_000


@pytest.mark.parametrize("told", [False, True])
def test_scans_that_stay_unlike_are_told(told, breath, caplog):
    moving = as_mr(breath.moving) if told else breath.moving
    options = replace(ALONE, similarity="ncc")
    register(RegistrationRequest(breath.fixed, moving, options=options))
    assert ("compare them by MIND-SSC (--similarity mind)" in caplog.text) == told


def test_a_fine_moving_image_is_smoothed_and_cut_to_a_small_fixed_one(breath):
    grid = Grid.from_spacing((16, 16, 16), (6.0, 6.0, 6.0), (-50.0, -40.0, -200.0))
    noise = torch.rand(1, 1, *breath.moving.grid.shape)
    problem = Problem(torch.rand(1, 1, *grid.shape), noise, grid, breath.moving.grid, 0.0, 0.1)
    found = in_fixed_frame(problem)
    assert found.moving_grid.voxels <= (2 * 4 + 16) ** 3
    assert float(found.moving.std()) < 0.75 * float(noise.std())


def test_likeness_across_modalities_hangs_on_no_frame(breath):
    """A moving scan and its mask 400 mm away, and the alignment that brings them back."""
    away = np.eye(4)
    away[:3, 3] = 400, -30, 10
    moving = as_mr(breath.moving)
    there = Grid(moving.grid.shape, away @ moving.grid.ijk_to_ras)
    mask = (torch.arange(64).view(1, 1, 1, 1, 64) < 40).int().expand(1, 1, 64, 64, 64)
    scored = []
    for grid, initial in ((moving.grid, None), (there, away)):
        known = Evidence(
            fixed=breath.fixed,
            moving=Image(moving.data, grid, "mr"),
            moving_mask=LabelMap(mask, grid),
            initial=initial,
        )
        place = Place(coarser(breath.fixed.grid, (10.0,) * 3), known, torch.device("cpu"))
        scored.append(float(Similarity(place)(torch.zeros(1, 3, *place.grid.shape))[0]))
    assert scored[0] == pytest.approx(scored[1], abs=1e-4)
    assert scored[0] > 0.1
