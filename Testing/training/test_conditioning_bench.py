"""What `benchmarks.conditioning` compares: the trained objective, in slices and in volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import conditioning as bench
from ElasticHyperRegLib.solver.problem import PLANE, VOLUME
from ElasticHyperRegLib.weights import read_card
from ElasticHyperRegLib.weights.folders import packaged_folder
from training.batches import collate
from training.config import read_config
from training.data import PairSample, PairSource, open_source
from training.loss import Measure
from training.validation import everywhere, validate

from ..unit.tiny_models import lively, tiny_spec
from .small_source import SIZE, Discs

SETTING = (0.1, 0.2)
MODELS = ("cardiac-elas-g", "cardiac-CSAIN-elastic", "thorax-elas-g", "thorax-CSAIN-elastic")


class Halves(Discs):
    """Images that are compared on their left half, and no further to the left than they show."""

    spacing = (0.5, 2.0)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
        mask[..., : SIZE // 2] = True
        moving = torch.ones_like(mask)
        moving[..., :3] = False
        return replace(super().sample(index, rng), fixed_mask=mask, moving_mask=moving)


def volumes() -> PairSource:
    options = {"size": [16, 16, 16], "labels": 3, "held_out": 2, "motion_mm": 6.0}
    return open_source("shapes", None, "val", options)


def case_of(source: PairSource, kind: str = "elas-g", passes: int | None = None) -> bench.Case:
    model = lively(tiny_spec(kind, ndim=len(source.shape)), scale=0.1)
    about = Measure(model.spec, source.spacing, 5)
    rng = np.random.default_rng(0)
    batch = collate([source.sample(index, rng) for index in range(len(source))])
    solver = bench.solver_options(about, None, passes)
    return bench.Case(model, batch, about, source.label_names, solver)


@pytest.mark.parametrize("spacing", [(0.5, 2.0), (1.5, 2.0, 3.0)])
def test_shear_is_what_neither_swells_nor_turns(spacing):
    shape = (4, 5, 6)[-len(spacing) :]
    axes = torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij")
    x = torch.stack([axis * mm for axis, mm in zip(axes[::-1], spacing, strict=True)])
    along, turned = torch.zeros_like(x), torch.zeros_like(x)
    along[0], turned[0], turned[1] = 0.2 * x[1], 0.2 * x[1], -0.2 * x[0]
    for field, expected in ((along, 0.02), (turned, 0.0), (0.2 * x, 0.0)):
        found = bench.shear(field[None], spacing)
        assert found.shape == (1, *shape)
        assert torch.allclose(found, torch.full_like(found, expected), atol=1e-6)


@pytest.mark.parametrize("make", [Halves, volumes])
def test_the_objective_is_that_of_validation(make):
    case = case_of(make())
    u_vox = bench.network_fields(case, everywhere(SETTING))
    objective, apart, energy = bench.measured(case, u_vox, SETTING)
    (score,) = validate(case.model, make(), (SETTING,), 5)
    assert objective == pytest.approx(score.objective, rel=1e-5)
    assert 0 < 0.7 * apart < objective
    assert energy > 0


@pytest.mark.parametrize("make", [Halves, volumes])
def test_the_solver_lowers_it_in_every_pair(make):
    case = case_of(make(), passes=10)
    values = everywhere(SETTING)
    solved = bench.terms(case, bench.solver_fields(case, values), values).total
    still = torch.zeros(len(solved), *case.voxel_mm.shape[1:2], *case.batch.fixed.shape[2:])
    for other in (still, bench.network_fields(case, values)):
        assert (solved < bench.terms(case, other, values).total).all()


def test_slices_are_solved_as_ever_and_volumes_for_longer_on_the_networks_cells():
    plane = Measure(tiny_spec(ndim=2, patch=2), (1.8, 1.8), 21)
    assert bench.solver_options(plane, None, None).levels == PLANE
    volume = Measure(tiny_spec(patch=2), (5.0, 5.0, 5.0), 7)
    *coarse, finest = bench.solver_options(volume, None, None).levels
    assert tuple(coarse) == VOLUME[:-1]
    assert (finest.iterations, finest.window, finest.control) == (bench.PASSES, 7, 2)
    finest = bench.solver_options(volume, 1.0, 30).levels[-1]
    assert (finest.iterations, finest.window, finest.control) == (30, 7, 1)


def test_a_model_that_obeys_tissues_is_asked_for_each_of_them():
    case = case_of(volumes(), "CSAIN-elastic", passes=1)
    effects = bench.tissue_effects(case, bench.network_fields)
    assert effects.keys() <= set(case.tissues.values())
    assert bench.uneven(case) > 0


def test_tissues_of_few_cells_are_left_out(monkeypatch):
    monkeypatch.setattr(bench, "FEWEST", 150)  # the cores have 111 cells in all

    def stiff_rim(case, values):
        field = torch.zeros(3, 2, SIZE, SIZE)
        field[:, 0] = torch.arange(float(SIZE))[:, None] * (1 - values[0, 2, 1])
        return field

    effects = bench.tissue_effects(case_of(Discs()), stiff_rim)
    assert effects.keys() == {"background", "rim"}
    assert effects["background"] == {"background": 0, "rim": 0}
    assert effects["rim"]["background"] == pytest.approx((0.4 / 0.9) ** 2 - 1)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_the_box_is_measured_as_it_was_trained(name):
    config = read_config(bench.CONFIGS / f"{name}.toml")
    assert config.model == read_card(packaged_folder() / name).model
    assert config.optimisation.window == (21 if config.model.ndim == 2 else 7)
    assert config.data.source == ("mixture" if name.startswith("thorax") else "acdc")
