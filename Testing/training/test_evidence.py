"""Masks say where images are compared, landmarks what a model is off: in training as elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib.networks import SPECS
from ElasticHyperRegLib.similarity import LocalNCC
from training.batches import collate, training_batch
from training.conditioning import condition
from training.data import PairSample
from training.loss import Masks, Measure, masks_of, objective
from training.validation import validate

from ..unit.tiny_models import constant, tiny_spec
from .small_source import SIZE, Discs
from .test_loop import config, run

GLOBAL = replace(SPECS["elas-g"], ndim=2)


class Marked(Discs):
    """Discs with a mask of their left half, and landmarks 3 voxels right of where they were."""

    spacing: tuple[float, ...] = (0.5, 2.0)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
        mask[..., : SIZE // 2] = True
        points = torch.tensor([[4.0, 5.0], [7.0, 9.0], [6.5, 3.25]])
        return replace(
            super().sample(index, rng),
            fixed_mask=mask,
            moving_mask=~mask,
            fixed_points=points,
            moving_points=points + torch.tensor([3.0, 0.0]),
        )


def similarity(fixed: torch.Tensor, warped: torch.Tensor, mask: torch.Tensor | None) -> float:
    setting = condition(GLOBAL, torch.tensor([[[0.1, 0.2]]]), None)
    still = torch.zeros(1, 2, *fixed.shape[2:])
    about = Measure(GLOBAL, (1.0, 1.0), 5)
    return float(objective(fixed, warped, still, setting, about, Masks(mask)).similarity)


def test_what_differs_outside_the_mask_costs_nothing():
    noise = torch.Generator().manual_seed(0)
    fixed = torch.rand(1, 1, 16, 24, generator=noise)
    warped = fixed.clone()
    warped[..., 12:] = torch.rand(1, 1, 16, 12, generator=noise)
    mask = torch.zeros_like(fixed, dtype=torch.bool)
    mask[..., :12] = True
    assert similarity(fixed, warped, mask) == pytest.approx(0, abs=1e-3)
    assert similarity(fixed, warped, None) > 0.3 * 0.7
    assert similarity(fixed, warped, ~mask) > 0.8 * 0.7
    everything = torch.ones_like(mask)
    assert similarity(fixed, warped, everything) == pytest.approx(similarity(fixed, warped, None))


def test_the_moving_mask_counts_where_the_field_leads_into_it():
    batch = collate([Marked().sample(0, np.random.default_rng(0))])
    u_vox = torch.zeros(1, 2, SIZE, SIZE)
    u_vox[:, 0] = 3.0  # the moving mask begins at SIZE / 2
    found = masks_of(batch, u_vox)
    assert found.fixed is batch.fixed_mask
    assert found.moving is not None
    expected = torch.zeros(SIZE, SIZE)
    expected[:, SIZE // 2 - 3 : SIZE - 3] = 1
    assert torch.equal(found.moving[0, 0], expected)
    setting = condition(GLOBAL, torch.tensor([[[0.1, 0.2]]]), None)
    about, still = Measure(GLOBAL, (1.0, 1.0), 5), torch.zeros_like(u_vox)
    noise = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    whole, seen, nothing = (
        float(objective(batch.fixed, noise, still, setting, about, masks).similarity)
        for masks in (Masks(), found, Masks(None, torch.zeros(1, 1, SIZE, SIZE)))
    )
    assert nothing == pytest.approx(0.7)  # like nothing: cc = 0
    apart = 0.7 * (1 - LocalNCC(batch.fixed, 5, batch.fixed_mask).map(noise))
    assert batch.fixed_mask is not None
    both = expected * batch.fixed_mask[0, 0]
    assert seen == pytest.approx(float((apart[0, 0] * both).sum() / both.sum()), rel=1e-5)
    apart = 0.7 * (1 - LocalNCC(batch.fixed, 5).map(noise))
    assert whole == pytest.approx(float(apart.mean()), rel=1e-5)


def test_a_pair_without_a_mask_counts_everywhere_beside_one_with_it():
    rng = np.random.default_rng(0)
    batch = collate([Marked().sample(0, rng), Discs().sample(1, rng)])
    assert batch.fixed_mask is not None
    assert batch.fixed_mask.flatten(1).float().mean(1).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("seed", range(4))
def test_masks_are_turned_with_their_images(seed):
    plain, marked = training_batch(Discs(), 3, (seed,)), training_batch(Marked(), 3, (seed,))
    assert plain.fixed_mask is None
    assert marked.fixed_mask is not None
    assert marked.moving_mask is not None
    assert torch.equal(marked.fixed_mask, ~marked.moving_mask)
    assert marked.fixed_mask.float().mean() == 0.5
    halves = marked.fixed_mask[0, 0]
    assert any(torch.equal(halves, half) for half in halves_of(SIZE))


def halves_of(size: int) -> list[torch.Tensor]:
    left = torch.zeros(size, size, dtype=torch.bool)
    left[:, : size // 2] = True
    return [left, ~left, left.T, ~left.T]


def test_a_mask_takes_part_in_training(tmp_path):
    settings = config(steps=2, every=2)
    square = type("Square", (Marked,), {"spacing": (1.0, 1.0)})
    weights = [
        run(settings, tmp_path / name, source).network.state_dict()["flow.weight"]
        for name, source in {"plain": Discs(), "marked": square()}.items()
    ]
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize(("shift", "error_mm"), [((0.0, 0.0), 1.5), ((3.0, 0.0), 0.0)])
def test_landmarks_of_validation_pairs_are_measured(shift, error_mm):
    model = constant(tiny_spec(ndim=2), shift)
    (score,) = validate(model, Marked(), ((0.0, 0.1),), 5)
    assert score.tre_mm == pytest.approx(error_mm, abs=1e-4)
    (score,) = validate(model, Discs(), ((0.0, 0.1),), 5)
    assert np.isnan(score.tre_mm)


def test_a_pair_without_tissue_or_landmarks_leaves_the_others_measured():
    class Bare(Marked):
        def sample(self, index, rng):
            sample = super().sample(index, rng)
            if index:
                return sample
            nothing = torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
            return replace(
                sample,
                fixed_labels=nothing,
                moving_labels=nothing,
                fixed_points=None,
                moving_points=None,
            )

    class Others(Marked):
        def __len__(self):
            return 2

        def sample(self, index, rng):
            return super().sample(index + 1, rng)

    model = constant(tiny_spec(ndim=2), (0.0, 0.0))
    (score,) = validate(model, Bare(), ((0.0, 0.1),), 5)
    (expected,) = validate(model, Others(), ((0.0, 0.1),), 5)
    assert score.dice == pytest.approx(expected.dice) and 0 < score.dice < 1
    assert score.tre_mm == pytest.approx(expected.tre_mm)


def test_the_table_of_scores_has_the_landmarks_error(tmp_path):
    settings = config(steps=2, every=2)
    run(settings, tmp_path)
    header = (tmp_path / "validation.csv").read_text().splitlines()[0]
    assert header.split(",")[-1] == "tre_mm"
