"""A model is shown the same intensities in training as in use: the window of its card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import InputError, RegistrationRequest
from ElasticHyperRegLib.engine import NetworkField
from ElasticHyperRegLib.engine.prepare import prepare
from ElasticHyperRegLib.io import read_image, read_points
from Testing.unit.tiny_models import install, lively, tiny_spec
from training.config import CardConfig, DataConfig
from training.data import open_source
from training.data.pair import Window
from training.data.scan import Reading, ScanFiles, place, read_volume
from training.run import open_sources

from .layouts import acdc, write_volume
from .test_loop import config

WINDOWS: tuple[Window, ...] = ((-1100.0, 1518.0), (-980.0, 600.0), None)
SPACING = 3.0
SHIFT_MM = 12.0


def ct(seed: int) -> np.ndarray:
    """Air at −1024 HU, noise up to 1,800 in a box; nothing that a window would leave alone."""
    values = np.full((20, 24, 28), -1024.0, np.float32)
    values[3:17, 4:20, 5:22] = np.random.default_rng(seed).uniform(-1000, 1800, (14, 16, 17))
    return values


@pytest.fixture
def pairs(tmp_path) -> Path:
    for split, patient in (("train", "anna"), ("val", "carl")):
        for seed, side in enumerate(("fixed", "moving")):
            write_volume(tmp_path / split / patient / f"{side}.nii.gz", ct(seed), (SPACING,) * 3)
    return tmp_path


def seen_in_use(
    root: Path, models: Path, window: Window, spacing: float, initial: np.ndarray
) -> list[torch.Tensor]:
    """What a model of that card is shown of Anna's images."""
    size = [round(n * SPACING / spacing) for n in (28, 24, 20)]
    expects = {"spacing_mm": [spacing] * 3, "size": size, "intensity_window": window}
    card = install(lively(tiny_spec()), models, expects)
    network = lively(tiny_spec())
    shown: list[torch.Tensor] = []
    encode = network.encode

    def watched(fixed: torch.Tensor, moving: torch.Tensor):
        shown.extend((fixed, moving))
        return encode(fixed, moving)

    network.encode = watched  # type: ignore[method-assign]
    fixed, moving = (read_image(root / f"train/anna/{side}.nii.gz") for side in ("fixed", "moving"))
    prepared = prepare(RegistrationRequest(fixed, moving))
    NetworkField((network, card), prepared, initial, None, torch.device("cpu"))
    return [image[0, 0] for image in shown]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("spacing", [SPACING, 2 * SPACING])
def test_training_shows_what_use_shows(pairs, tmp_path, window, spacing):
    options = {"initial": "none", "spacing_mm": spacing}
    sample = open_source("own", pairs, "train", options, window).sample(0, np.random.default_rng())
    used = seen_in_use(pairs, tmp_path / "model", window, spacing, np.eye(4))
    for trained, image in zip((sample.fixed, sample.moving), used, strict=True):
        torch.testing.assert_close(trained[0], image, atol=1e-3, rtol=0)


@pytest.mark.parametrize("window", WINDOWS)
def test_beyond_a_scan_lies_its_lowest_value_in_both(pairs, tmp_path, window):
    initial = np.eye(4)
    initial[0, 3] = SHIFT_MM
    path = pairs / "train/anna/moving.nii.gz"
    volume = read_volume(ScanFiles(path), Reading(read_points, window=window))
    trained = torch.from_numpy(place(volume, volume.grid, initial).image.astype(np.float32))
    _, used = seen_in_use(pairs, tmp_path / "model", window, SPACING, initial)
    torch.testing.assert_close(trained, used, atol=1e-3, rtol=0)


def test_a_run_trains_by_the_window_of_its_card(pairs):
    window = (-1100.0, 1518.0)
    settings = config()
    settings = replace(
        settings,
        model=replace(settings.model, ndim=3),
        data=DataConfig("own", "train", "val", "", "", {"initial": "none"}, {"initial": "none"}),
        card=CardConfig("CT", "none", window),
    )
    sources = open_sources(settings, pairs)
    expected = np.clip((ct(0) + 1100) / 2618, 0, 1)
    for source in (sources.train, sources.validation):
        found = source.sample(0, np.random.default_rng(0)).fixed[0]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("window", [(5.0, 5.0), (600.0, -1000.0)])
def test_a_window_that_holds_nothing_is_refused(tmp_path, window):
    with pytest.raises(InputError, match="intensity window of .*; expected the lowest"):
        CardConfig("CT", "none", window)
    with pytest.raises(InputError, match="intensity window of .*; expected the lowest"):
        install(lively(tiny_spec()), tmp_path, {"intensity_window": window})


def test_a_window_that_a_data_set_is_not_seen_in_is_refused(tmp_path):
    with pytest.raises(InputError, match="intensity window .* for ACDC; expected none"):
        open_source("acdc", acdc(tmp_path), "val", {}, (0.0, 100.0))
    options = {"size": [32, 32, 32]}
    with pytest.raises(InputError, match="for phantoms"):
        open_source("phantom", None, "val", options, (-1100.0, 1518.0))
    parts = [{"source": "phantom", "options": options}]
    with pytest.raises(InputError, match="for phantoms"):
        open_source("mixture", None, "val", {"parts": parts}, (-1100.0, 1518.0))
    assert open_source("phantom", None, "val", options, (-1000.0, 600.0)).shape == (32, 32, 32)


def test_a_source_is_no_place_for_a_window(pairs):
    with pytest.raises(InputError, match="unknown intensity_window"):
        open_source("own", pairs, "train", {"intensity_window": [-1000, 600]})


def test_random_shapes_are_made_for_any_window():
    shapes = open_source("shapes", None, "val", {"size": [12, 12]}, (-1000.0, 600.0))
    assert float(shapes.sample(0, np.random.default_rng(0)).fixed.max()) <= 1
