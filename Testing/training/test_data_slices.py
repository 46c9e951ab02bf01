"""Slices of volumes are the volumes' own, in place and in mm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.engine.network_field import own_range
from training.data import open_source
from training.data.pair import PairSample
from training.data.slices import PLANES, SlicesSource

from .layouts import learn2reg
from .small_source import Discs

SHAPE = (6, 8, 10)
RNG = np.random.default_rng(0)


class Blocks:
    """Volumes whose voxels say where they are; tissue at k from 1 to 2, j from 3 to 6, i at 7."""

    spacing: tuple[float, ...] = (1.0, 2.0, 3.0)
    shape: tuple[int, ...] = SHAPE
    label_names = {0: "background", 1: "block"}
    patients = ("a",)

    def __init__(self, labelled: bool = True) -> None:
        self._labelled = labelled

    def __len__(self) -> int:
        return 1

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        k, j, i = torch.meshgrid(*map(torch.arange, SHAPE), indexing="ij")
        image = (100.0 * k + 10.0 * j + i)[None]
        labels = torch.zeros(1, *SHAPE, dtype=torch.int64)
        labels[:, 1:3, 3:7, 7] = 1
        given = labels if self._labelled else None
        mask = labels > 0 if self._labelled else None
        return PairSample(image, image + 0.5, given, given, torch.ones(3, *SHAPE), "a", mask, None)


@pytest.mark.parametrize(
    ("plane", "place", "shape", "spacing"),
    [
        ("axial", 1, (8, 10), (1.0, 2.0)),
        ("coronal", 4, (6, 10), (1.0, 3.0)),
        ("sagittal", 7, (6, 8), (2.0, 3.0)),
    ],
)
def test_the_middle_slice_of_the_tissue_is_taken(plane, place, shape, spacing):
    source = SlicesSource(Blocks(), plane, drawn=False, own_range=False)
    assert (source.shape, source.spacing) == (shape, spacing)
    sample, whole = source.sample(0, RNG), Blocks().sample(0, RNG)
    expected = whole.fixed.select(PLANES[plane] + 1, place)
    assert torch.equal(sample.fixed, expected) and torch.equal(sample.moving, expected + 0.5)
    assert sample.fixed_labels is not None and sample.fixed_mask is not None
    assert torch.equal(sample.fixed_labels > 0, sample.fixed_mask)
    assert sample.displacement is None and sample.moving_mask is None


def test_without_labels_it_is_the_middle_of_the_volume():
    sample = SlicesSource(Blocks(labelled=False), "coronal", drawn=False, own_range=False).sample(
        0, RNG
    )
    assert int(sample.fixed[0, 0, 0]) == 30


def test_a_drawn_slice_shows_tissue_and_hangs_on_the_draw_alone():
    source = SlicesSource(Blocks(), "coronal", drawn=True, own_range=False)
    drawn = [
        int(source.sample(0, np.random.default_rng(seed)).fixed[0, 0, 0]) for seed in range(40)
    ]
    assert set(drawn) == {30, 40, 50, 60}
    again = source.sample(0, np.random.default_rng(3)).fixed[0, 0, 0]
    assert int(again) == drawn[3]


def test_a_drawn_slice_shows_what_is_compared():
    class Masked(Blocks):
        def sample(self, index, rng):
            whole = super().sample(index, rng)
            mask = torch.zeros(1, *SHAPE, dtype=torch.bool)
            mask[:, :, 5] = True
            return replace(whole, fixed_mask=mask, fixed_labels=None)

    source = SlicesSource(Masked(), "coronal", drawn=True, own_range=False)
    drawn = {int(source.sample(0, np.random.default_rng(s)).fixed[0, 0, 0]) for s in range(9)}
    assert drawn == {50}


def test_without_a_window_each_slice_has_its_own_range():
    source = SlicesSource(Blocks(), "axial", drawn=False, own_range=True)
    sample = source.sample(0, RNG)
    for image in (sample.fixed, sample.moving):
        assert (float(image.min()), float(image.max())) == (0.0, 1.0)
    assert torch.count_nonzero(own_range(torch.ones(1, 3, 4))) == 0


def test_slices_of_a_data_set(tmp_path: Path) -> None:
    published = {"train": [("0004_0000", "0004_0001")], "val": [("0001_0000", "0001_0001")]}
    learn2reg(tmp_path, "LungCT", published)
    options = {"source": "lungct", "plane": "coronal", "slices": "random"}
    source = open_source("slices", tmp_path, "val", options)
    whole = open_source("lungct", tmp_path, "val").sample(0, RNG)
    assert (source.shape, len(source.spacing)) == ((10, 14), 2)
    assert whole.fixed_mask is not None
    places = whole.fixed_mask[0].movedim(1, 0).flatten(1).any(1).nonzero()
    middle = int(places[0] + places[-1]) // 2
    assert torch.equal(source.sample(0, RNG).fixed, own_range(whole.fixed[:, :, middle]))
    with pytest.raises(InputError, match="plane is 'oblique'"):
        open_source("slices", tmp_path, "val", {**options, "plane": "oblique"})


def test_slices_are_not_sliced():
    with pytest.raises(InputError, match="slices already"):
        SlicesSource(Discs(), "axial", drawn=False, own_range=False)
