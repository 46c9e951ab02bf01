"""Varied pairs stay pairs: both images, their labels and their known displacement go together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.grid import voxel_points
from training.augmentation import AugmentationConfig, augment
from training.batches import Batch, training_batch
from training.config import config_from_table

from .small_source import Discs
from .test_loop import config, run

ALL = AugmentationConfig(swap=0.5, turn=15, stretch=0.15, gamma=0.3)


def blobs(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Batch:
    """Two smooth pairs and the affine displacement from fixed to moving, in voxels."""
    points = voxel_points(shape, torch.zeros(()))
    scale = torch.tensor(spacing).view(1, -1, *[1] * len(shape))
    middle = torch.tensor([(n - 1) / 2 for n in reversed(shape)]).view(scale.shape)
    bend = 0.08 * torch.arange(1.0, 1 + len(shape) ** 2).view(1, len(shape), -1).sin()
    away = (points - middle) * scale
    u_mm = torch.einsum("nab,nb...->na...", bend, away)
    width = 0.3 * float((middle * scale).min())

    def seen(at_mm: torch.Tensor) -> torch.Tensor:
        return (-0.5 * ((at_mm - 0.3 * width) / width).square().sum(1, keepdim=True)).exp()

    moving = torch.cat([seen(away), seen(0.7 * away)])
    fixed = torch.cat([seen(away + u_mm), seen(0.7 * (away + u_mm))])
    both = (u_mm / scale).repeat(2, *[1] * (len(shape) + 1))
    return Batch(fixed, moving, (fixed > 0.5).long(), (moving > 0.5).long(), both)


def varied(batch: Batch, how: AugmentationConfig, spacing: tuple[float, ...], seed: int) -> Batch:
    return augment(batch, spacing, how, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("shape", "spacing"), [((40, 40), (1.0, 1.0)), ((24, 40, 40), (1.0, 1.0, 1.6))]
)
@pytest.mark.parametrize("seed", range(3))
def test_known_displacement_still_maps_moving_onto_fixed(shape, spacing, seed):
    batch = blobs(shape, spacing)
    found = varied(batch, AugmentationConfig(turn=40, stretch=0.2), spacing, seed)
    assert found.displacement is not None
    assert float((found.fixed - batch.fixed).abs().max()) > 0.05
    warped = warp_voxels(found.moving, found.displacement)
    inside = (slice(None), slice(None), *[slice(n // 5, -(n // 5)) for n in shape])
    torch.testing.assert_close(warped[inside], found.fixed[inside], atol=0.03, rtol=0)


def test_labels_follow_their_images():
    batch = replace(blobs((60, 60), (1.0, 1.0)), displacement=None)
    batch = replace(batch, fixed_mask=batch.fixed > 0.5, moving_mask=batch.moving > 0.5)
    found = varied(batch, replace(ALL, gamma=0.0), (1.0, 1.0), 4)
    for mask, labels in (
        (found.fixed_mask, found.fixed_labels),
        (found.moving_mask, found.moving_labels),
    ):
        assert mask is not None
        assert mask.dtype == torch.bool
        assert labels is not None
        assert torch.equal(mask, labels == 1)
    for image, labels in (
        (found.fixed, found.fixed_labels),
        (found.moving, found.moving_labels),
    ):
        assert labels is not None
        assert labels.dtype == torch.int64
        apart = ((image > 0.5).long() != labels).float().mean()
        assert float(apart) < 0.02


def test_swapped_pairs_change_places():
    batch = replace(blobs((12, 12), (1.0, 1.0)), displacement=None)
    found = varied(batch, AugmentationConfig(swap=1.0), (1.0, 1.0), 0)
    assert torch.equal(found.fixed, batch.moving)
    assert torch.equal(found.moving, batch.fixed)
    assert found.fixed_labels is not None
    assert found.moving_labels is not None
    torch.testing.assert_close(found.fixed_labels, batch.moving_labels)
    torch.testing.assert_close(found.moving_labels, batch.fixed_labels)


def test_contrast_is_one_power_in_both_images():
    batch = blobs((12, 12), (1.0, 1.0))
    found = varied(batch, AugmentationConfig(gamma=0.5), (1.0, 1.0), 0)
    powers = found.fixed[:, 0, 0, 0].log() / batch.fixed[:, 0, 0, 0].log()
    assert not torch.allclose(powers[0], powers[1])
    for seen, was in ((found.fixed, batch.fixed), (found.moving, batch.moving)):
        torch.testing.assert_close(seen, was ** powers.view(2, 1, 1, 1))


def test_nothing_asked_for_changes_and_draws_nothing():
    rng = np.random.default_rng(3)
    batch = blobs((8, 8), (1.0, 1.0))
    assert augment(batch, (1.0, 1.0), AugmentationConfig(), rng) is batch
    assert rng.random() == np.random.default_rng(3).random()


def test_batches_are_a_function_of_the_seed():
    first, again, other = (training_batch(Discs(), 4, (1, step), ALL) for step in (5, 5, 6))
    assert torch.equal(first.fixed, again.fixed)
    assert torch.equal(first.moving, again.moving)
    assert not torch.equal(first.fixed, other.fixed)


def test_known_displacement_is_not_swapped():
    with pytest.raises(InputError, match="displacement is known, to be swapped"):
        varied(blobs((8, 8), (1.0, 1.0)), ALL, (1.0, 1.0), 0)


@pytest.mark.parametrize(
    "wrong", [{"swap": 1.5}, {"turn": -1.0}, {"turn": 200.0}, {"stretch": 1.0}, {"gamma": -0.1}]
)
def test_impossible_variation_is_refused(wrong):
    with pytest.raises(InputError, match="swap at most 1"):
        AugmentationConfig(**wrong)


def test_training_uses_what_the_configuration_asks_for(tmp_path):
    plain = config(steps=2, every=2)
    weights = [
        run(settings, tmp_path / name).network.state_dict()["flow.weight"]
        for name, settings in {
            "plain": plain,
            "again": plain,
            "varied": replace(plain, augmentation=ALL),
        }.items()
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_unknown_key_is_refused():
    table = {
        "name": "x",
        "model": {"name": "elas-g", "backbone": "hypermorph"},
        "data": {
            "source": "acdc",
            "train": "train",
            "validation": "val",
            "description": "-",
            "licence": "-",
        },
        "optimisation": {"steps": 1},
        "validation": {"every": 1, "settings": [[0.0, 0.1]]},
        "card": {"modality": "MR", "licence": "-"},
    }
    assert config_from_table(table, "", "x.toml").augmentation == AugmentationConfig()
    found = config_from_table(table | {"augmentation": {"swap": 0.5}}, "", "x.toml")
    assert found.augmentation.swap == 0.5
    with pytest.raises(InputError, match=r"x\.toml, augmentation.*shear"):
        config_from_table(table | {"augmentation": {"shear": 1}}, "", "x.toml")
