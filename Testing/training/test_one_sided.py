"""Labels and masks of one image alone are not lost, and do not stand for the other's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.networks import SPECS
from training.augmentation import AugmentationConfig
from training.batches import training_batch
from training.config import DataConfig, TrainingConfig
from training.data import PairSample, open_source
from training.run import open_sources

from .layouts import blob, write_volume
from .small_source import SIZE, Discs
from .test_loop import config, run

TISSUES = ("background", "core", "rim")


class Without(Discs):
    """Discs that lack some of their data."""

    def __init__(self, **missing: object) -> None:
        super().__init__()
        self._missing = missing

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        return replace(super().sample(index, rng), **self._missing)  # type: ignore[arg-type]


def folders(root: Path, *kinds: str) -> Path:
    labels = (blob() > -500).astype(np.int16)
    for split, patient in (("train", "anna"), ("val", "carl")):
        for shift, side in enumerate(("fixed", "moving")):
            write_volume(root / split / patient / f"{side}.nii.gz", blob(shift=shift))
        for kind in kinds:
            write_volume(root / split / patient / f"{kind}.nii.gz", labels)
    return root


@pytest.mark.parametrize("kind", ["labels", "mask"])
@pytest.mark.parametrize(("side", "other"), [("fixed", "moving"), ("moving", "fixed")])
def test_each_side_keeps_what_it_has(tmp_path, side, other, kind):
    source = open_source("own", folders(tmp_path, f"{side}_{kind}"), "train", {"initial": "none"})
    sample = source.sample(0, np.random.default_rng(0))
    found = getattr(sample, f"{side}_{kind}")[0] > 0
    assert bool(found[torch.from_numpy(blob() > -500)].all())
    assert getattr(sample, f"{other}_{kind}") is None


def tissue_config() -> TrainingConfig:
    settings = config(steps=1, every=1)
    spec = replace(SPECS["elas-sas"], ndim=2, tissues=TISSUES, options=settings.model.options)
    return replace(settings, model=spec)


def test_fixed_labels_alone_say_where_the_tissues_are(tmp_path):
    assert run(tissue_config(), tmp_path, Without(moving_labels=None)).step == 1


def test_only_dice_needs_both(tmp_path):
    with pytest.raises(InputError, match="weight of the labels for pairs without labels"):
        run(config(labels=1.0), tmp_path, Without(moving_labels=None))


def test_tissues_without_fixed_labels_are_refused_in_a_batch(tmp_path):
    with pytest.raises(InputError, match="model of tissues, and pairs whose fixed images"):
        run(tissue_config(), tmp_path, Without(fixed_labels=None))


def test_tissues_without_fixed_labels_are_refused_before_anything_is_written(tmp_path):
    kept = {"initial": "none"}
    settings = tissue_config()
    settings = replace(
        settings,
        model=replace(settings.model, ndim=3, tissues=("background", "1")),
        data=DataConfig("own", "train", "val", "", "", kept, kept),
    )
    assert open_sources(settings, folders(tmp_path / "both", "fixed_labels", "moving_labels"))
    with pytest.raises(InputError, match="fixed images have no labels"):
        open_sources(settings, folders(tmp_path / "one", "moving_labels"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimisation": {"labels": 1.0}}, "a weight of the labels for pairs without labels"),
        ({"optimisation": {"truth": 1.0}}, "a truth weight for pairs"),
        ({"augmentation": {"swap": 0.5}}, "labels on one side alone, to be swapped"),
    ],
)
def test_what_pairs_lack_is_told_before_anything_is_written(tmp_path, change, words):
    kept = {"initial": "none"}
    settings = config()
    settings = replace(
        settings,
        model=replace(settings.model, ndim=3),
        data=DataConfig("own", "train", "val", "", "", kept, kept),
    )
    for part, values in change.items():
        settings = replace(settings, **{part: replace(getattr(settings, part), **values)})
    with pytest.raises(InputError, match=words):
        open_sources(settings, folders(tmp_path, "fixed_labels"))


def test_a_swap_brings_a_single_mask_along():
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    mask[..., : SIZE // 2] = True
    swapped = AugmentationConfig(swap=1.0)
    batch = training_batch(Without(fixed_mask=mask), 4, (3,), swapped)
    assert batch.fixed_mask is not None and batch.moving_mask is not None
    assert batch.fixed_mask.all()
    assert batch.moving_mask.float().mean() == 0.5
    with pytest.raises(InputError, match="labels on one side alone, to be swapped"):
        training_batch(Without(moving_labels=None), 4, (3,), swapped)
