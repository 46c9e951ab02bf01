from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Grid, InputError
from ElasticHyperRegLib.field import compose, jacobian_determinant
from training.data import PairSample, PairSource, open_source
from training.data.mixture import MixtureSource
from training.data.motion import Motion, moved, smooth_noise
from training.data.phantom import PhantomSourceOptions, make_aligned

from .layouts import blob, write_volume
from .small_source import Discs

SHAPES: dict[str, Any] = {"size": [48, 40], "motion_mm": 15.0, "noise": 0.0}
PHANTOM: dict[str, Any] = {"size": [32, 32, 32], "phantoms": 2, "held_out": 1, "initial": "none"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(a: PairSample, b: PairSample) -> bool:
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for name in ("fixed", "moving", "fixed_labels", "moving_labels", "displacement")
    )


def agreement(sample: PairSample, displaced: bool) -> float:
    """Part of the labelled voxels where the labels agree, the moving ones displaced or not."""
    assert sample.fixed_labels is not None and sample.moving_labels is not None
    assert sample.displacement is not None
    u_vox = sample.displacement[None] * float(displaced)
    warped = moved(sample.moving_labels[None], u_vox, nearest=True)[0]
    return float((warped == sample.fixed_labels)[sample.fixed_labels > 0].float().mean())


def check_form(source: PairSource, sample: PairSample) -> None:
    dim = len(source.shape)
    assert len(source.spacing) == dim
    for image in (sample.fixed, sample.moving):
        assert image.shape == (1, *source.shape)
        assert image.dtype == torch.float32
        assert 0 <= float(image.min()) < float(image.max()) <= 1
    for labels in (sample.fixed_labels, sample.moving_labels):
        assert labels is not None
        assert labels.shape == (1, *source.shape)
        assert labels.dtype == torch.int64
        assert set(labels.unique().tolist()) <= set(source.label_names)
    assert sample.displacement is not None
    assert sample.displacement.shape == (dim, *source.shape)
    assert sample.displacement.dtype == torch.float32


@given(st.integers(0, 2**31), st.sampled_from([(40, 48), (20, 22, 24)]))
def test_deformation_and_inverse_undo_each_other(seed: int, shape: tuple[int, ...]) -> None:
    spacing = (2.0, 3.0, 2.5)[: len(shape)]
    motion = Motion(10.0, 12.0, 30.0).draw(shape, spacing, rng(seed))
    forward = motion.forward()
    rest = compose(forward, motion.inverse())
    inside = (slice(None), slice(None), *[slice(5, -5)] * len(shape))
    assert rest[inside].abs().max() < 0.15
    grid = Grid.from_spacing(shape, (1.0,) * len(shape))
    assert jacobian_determinant(forward, grid).min() > 0


def test_motion_is_as_large_as_asked_for() -> None:
    """The velocity peaks at a uniform part of 20 mm: on average 10 mm, here 2 mm voxels."""
    motion = Motion(20.0, 20.0, 20.0)
    peaks = []
    for seed in range(200):
        velocity = motion.draw((32, 32), (2.0, 2.0), rng(seed)).velocity
        steps = torch.tensor([64 / velocity.shape[3], 64 / velocity.shape[2]]).view(1, 2, 1, 1)
        peaks.append(float((velocity * steps).norm(dim=1).max()))
    assert max(peaks) <= 20 + 1e-4
    assert np.mean(peaks) == pytest.approx(10, abs=1.5)
    assert Motion(0.0, 20.0, 20.0).draw((8, 8), (2.0, 2.0), rng()).forward().abs().max() == 0


def test_smooth_noise_has_the_scale_it_says() -> None:
    """The correlation of a Gaussian of σ falls to exp(−¼ (d/σ)²)."""
    field = smooth_noise((200, 200), (1.0, 1.0), 10.0, rng(), 4)
    near = (field[..., :-10] * field[..., 10:]).mean() / field.square().mean()
    assert float(near) == pytest.approx(np.exp(-0.25), abs=0.08)


def test_shapes_are_what_their_truth_says() -> None:
    source = open_source("shapes", None, "train", SHAPES)
    before, after = [], []
    for seed in range(8):
        sample = source.sample(0, rng(seed))
        check_form(source, sample)
        before.append(agreement(sample, displaced=False))
        after.append(agreement(sample, displaced=True))
    assert source.shape == (40, 48)
    assert np.mean(after) > 0.95
    assert 1 - np.mean(after) < 0.5 * (1 - np.mean(before))


def test_shapes_in_3d_with_sharp_images_follow_the_truth() -> None:
    options = {"size": [24, 20, 16], "noise": 0.0, "labels": 4, "motion_mm": 10.0}
    source = open_source("shapes", None, "train", options)
    sample = source.sample(0, rng(3))
    check_form(source, sample)
    assert source.shape == (16, 20, 24)
    assert source.label_names == {0: "background", 1: "shape_1", 2: "shape_2", 3: "shape_3"}


def test_shapes_depend_on_the_seed_alone() -> None:
    source = open_source("shapes", None, "train", SHAPES)
    assert same(source.sample(0, rng(1)), source.sample(7, rng(1)))
    assert not same(source.sample(0, rng(1)), source.sample(0, rng(2)))
    held_out = open_source("shapes", None, "val", SHAPES)
    assert same(held_out.sample(3, rng(1)), held_out.sample(3, rng(2)))
    assert not same(held_out.sample(3, rng(1)), held_out.sample(4, rng(1)))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where phantoms are kept that several tests use."""
    return tmp_path_factory.mktemp("phantoms")


def test_phantoms_are_what_their_truth_says(pool: Path) -> None:
    source = open_source("phantom", pool, "train", {**PHANTOM, "noise_hu": 0.0})
    sample = source.sample(0, rng(4))
    check_form(source, sample)
    assert source.spacing == pytest.approx((10.4, 8.0, 9.6))
    assert 1 - agreement(sample, displaced=True) < 0.8 * (1 - agreement(sample, displaced=False))


def test_truth_of_a_phantom_is_what_the_alignment_leaves(
    monkeypatch: pytest.MonkeyPatch, pool: Path
) -> None:
    """Seen through a shift of t voxels, moving′(y) = moving(y + t) and d = u − t."""
    plain = open_source("phantom", pool, "train", PHANTOM)
    plain.sample(0, rng())
    with np.load(next(pool.glob("10000000-*.npz"))) as file:
        made = {name: values.astype(np.float32) for name, values in file.items()}
    shift = np.eye(4)
    shift[0, 3] = 2 * plain.spacing[0]
    monkeypatch.setattr("training.data.phantom.align", lambda *_: shift)
    seen = make_aligned(PhantomSourceOptions(size=(32, 32, 32)), 10_000_000)
    np.testing.assert_allclose(seen["fixed"], made["fixed"])
    np.testing.assert_allclose(seen["moving"][..., :-2], made["moving"][..., 2:], atol=2e-3)
    np.testing.assert_array_equal(seen["moving_labels"][..., :-2], made["moving_labels"][..., 2:])
    left = made["u_vox"] - np.array([2, 0, 0]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(seen["u_vox"], left, atol=5e-3)


def test_phantoms_are_made_once_and_vary_without_end(pool: Path, tmp_path: Path) -> None:
    first = open_source("phantom", pool, "train", PHANTOM).sample(0, rng(1))
    again = open_source("phantom", pool, "train", PHANTOM)
    kept = sorted(pool.glob("*.npz"))
    assert same(first, again.sample(0, rng(1)))
    assert not same(first, again.sample(0, rng(2)))
    assert sorted(pool.glob("*.npz")) == kept
    damaged = tmp_path / kept[0].name
    damaged.write_bytes(b"nothing")
    with pytest.raises(InputError, match=f"{damaged} is damaged"):
        open_source("phantom", tmp_path, "train", PHANTOM).sample(0, rng(1))


def test_phantoms_of_two_splits_are_other_patients() -> None:
    splits = [open_source("phantom", None, s, PHANTOM).patients for s in ("train", "val", "test")]
    assert [len(patients) for patients in splits] == [2, 1, 1]
    assert len({patient for patients in splits for patient in patients}) == 4


@pytest.mark.slow
def test_pool_made_by_other_processes_is_the_same(pool: Path) -> None:
    options = {**PHANTOM, "phantoms": 1}
    made = open_source("phantom", None, "train", {**options, "workers": 1})
    alone = open_source("phantom", pool, "train", options)
    assert same(made.sample(0, rng()), alone.sample(0, rng()))


def single_scans(root: Path) -> Path:
    for split, patient in (("train", "anna"), ("train", "bert"), ("val", "carl")):
        values = blob((16, 18, 20))
        write_volume(root / split / patient / "image.nii.gz", values)
        labels = (values > -500).astype(np.int16)
        write_volume(root / split / patient / "labels.nii.gz", labels)
    return root


def test_simulated_motion_of_real_scans_has_its_truth(tmp_path: Path) -> None:
    options = {"motion_mm": 12.0, "motion_scale_mm": [10.0, 20.0], "noise": 0.0}
    source = open_source("simulated", single_scans(tmp_path), "train", options)
    assert source.patients == ("anna", "bert")
    better = 0
    for seed in range(6):
        sample = source.sample(seed % 2, rng(seed))
        check_form(source, sample)
        assert sample.patient == ("anna", "bert")[seed % 2]
        better += agreement(sample, displaced=True) >= agreement(sample, displaced=False)
        assert agreement(sample, displaced=True) > 0.9
    assert better >= 5
    assert same(source.sample(0, rng(1)), source.sample(0, rng(1)))
    held_out = open_source("simulated", tmp_path, "val", options)
    assert same(held_out.sample(0, rng(1)), held_out.sample(0, rng(2)))


def test_mixture_draws_its_parts_by_weight() -> None:
    parts = [
        {"source": "shapes", "weight": 3.0, "options": {**SHAPES, "labels": 3}},
        {"source": "shapes", "options": {**SHAPES, "labels": 9}},
    ]
    source = open_source("mixture", None, "train", {"parts": parts})
    assert source.label_names[2] == "shape_2"
    assert len(source.label_names) == 9
    many = 0
    for seed in range(60):
        labels = source.sample(seed, rng(seed)).fixed_labels
        assert labels is not None
        many += int(labels.max()) > 2
    assert 5 <= many <= 25
    assert same(source.sample(0, rng(1)), source.sample(0, rng(1)))


class Numbered(Discs):
    """Notes which pairs are asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.drawn = [0] * count

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        self.drawn[index] += 1
        return super().sample(index, rng)


def test_a_mixture_draws_evenly_within_a_part() -> None:
    parts = [Numbered(6), Numbered(2)]
    source = MixtureSource([*parts], [1.0, 1.0])
    for seed in range(2400):
        source.sample(seed % len(source), rng(seed))
    assert parts[0].drawn == pytest.approx([200] * 6, rel=0.25)
    assert parts[1].drawn == pytest.approx([600] * 2, rel=0.1)


def test_roots_of_a_mixture_are_relative_to_its_own(tmp_path: Path) -> None:
    single_scans(tmp_path / "scans")
    options = {"parts": [{"source": "simulated", "root": "scans"}]}
    assert open_source("mixture", tmp_path, "val", options).patients == ("carl",)


def test_mixture_of_other_sizes_is_refused() -> None:
    parts = [
        {"source": "shapes", "options": {**SHAPES, "size": size}} for size in ([32, 32], [32, 40])
    ]
    with pytest.raises(InputError, match="one size and spacing"):
        open_source("mixture", None, "train", {"parts": parts})
    with pytest.raises(InputError, match="mixture lacks parts"):
        open_source("mixture", None, "train", {})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shapes", {"size": [4, 4]}),
        ("shapes", {"labels": 1}),
        ("shapes", {"motion_scale_mm": [30.0, 10.0]}),
        ("shapes", {"size": "large"}),
        ("phantom", {"size": [16, 16, 16]}),
        ("phantom", {"phantoms": 0}),
        ("phantom", {"initial": "warp"}),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        open_source(name, None, "train", options)


def test_folder_where_none_is_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shapes"):
        open_source("shapes", tmp_path, "train", SHAPES)
