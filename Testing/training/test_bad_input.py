"""Every fault of a user's is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ElasticHyperRegLib.errors import InputError
from training.config import config_from_table
from training.data import open_source
from training.data.mixture import MixtureSource

from .layouts import acdc, heart, learn2reg, write_volume
from .small_source import Discs
from .test_data_learn2reg import oasis, pairs_of

PHANTOM: dict[str, Any] = {"size": [32, 32, 32], "phantoms": 1, "initial": "none"}


def one_line(words: str, call, *given) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call(*given)
    assert "\n" not in str(caught.value)


def table(**changes: Any) -> dict[str, Any]:
    data = {
        "source": "shapes",
        "train": "train",
        "validation": "val",
        "description": "",
        "licence": "",
        "options": changes.pop("options", {}),
    }
    return {
        "name": "shapes",
        "model": {"name": "elas-g", "backbone": "hypermorph", "ndim": 2},
        "data": data,
        "optimisation": {"steps": 1, **changes.pop("optimisation", {})},
        "validation": {"every": 1, "settings": [[0.0, 0.1]]},
        "card": {"modality": "MR", "licence": "", **changes.pop("card", {})},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": -1}, "the seed -1; expected a whole number from 0 to"),
        ({"seed": 2**32}, "the seed 4294967296"),
        ({"options": 3}, "data, options is 3; expected a table"),
        ({"card": {"intensity_window": [5, 5]}}, r"an intensity window of \[5.0, 5.0\]"),
        ({"card": {"intensity_window": [600]}}, r"is \[600\]; expected \[a number, a number\]"),
        ({"optimisation": {"learning_rate": float("nan")}}, "is nan; expected a number"),
        ({"optimisation": {"draws": "any"}}, "expected simplex or independent"),
        ({"optimisation": {"windows": [3, 5, 7]}}, "3 NCC windows for elas-g; expected none"),
        ({"optimisation": {"windows": [4]}}, "an NCC window of 4"),
    ],
)
def test_configurations(changes, words):
    one_line(words, config_from_table, table(**changes), "", "test.toml")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("shapes", {"motion_scale_mm": 20.0}, "motion_scale_mm is 20.0; expected .a number, a num"),
        ("shapes", {"motion_scale_mm": [20.0]}, r"motion_scale_mm is \[20.0\]"),
        ("shapes", {"seed": -1}, "seed -1"),
        ("shapes", {"held_out": 0}, "0 pairs held out"),
        ("phantom", {"phantoms": 2.5}, "phantoms is 2.5; expected a whole number"),
        ("phantom", {"motion_scale_mm": [20.0]}, r"motion_scale_mm is \[20.0\]"),
        ("phantom", {"patients": 2}, "the options of phantom has an unknown patients"),
        ("phantom", 3, "the options of phantom holds 3; expected a table"),
        ("mixture", {"parts": 3}, "parts is 3"),
        ("mixture", {"parts": [3]}, "parts holds 3; expected a table"),
        ("mixture", {"parts": []}, "0 parts"),
        ("mixture", {"parts": [{"weight": 1.0}]}, "parts lacks source"),
        ("mixture", {"parts": [{"source": "shapes", "weight": "x"}]}, "weight is 'x'"),
        ("mixture", {"parts": [{"source": "shapes", "weight": -1}]}, "positive"),
        ("mixture", {"parts": [{"source": "shapes", "options": 1}]}, "options is 1"),
        ("mixture", {"parts": [{"source": "plants"}]}, "the data set 'plants'"),
    ],
)
def test_options(name, options, words):
    one_line(words, open_source, name, None, "train", options)


def test_spacings_are_one_number_or_three(tmp_path):
    root = learn2reg(tmp_path, "NLST", {"train": pairs_of("0001")})
    for spacing in (3, 3.0, [3, 3.0, 3]):
        assert open_source("nlst", root, "train", {"spacing_mm": spacing}).shape == (5, 6, 7)
    words = "spacing_mm is 'fine'; expected a number or .a number, "
    one_line(words, open_source, "nlst", root, "train", {"spacing_mm": "fine"})


def test_a_folder_of_phantoms_that_cannot_be_made(tmp_path):
    (tmp_path / "taken").write_text("")
    root = tmp_path / "taken" / "pool"
    one_line("pool, which cannot be made", open_source, "phantom", root, "train", PHANTOM)


@pytest.mark.parametrize("kept", [b"", b"PK\x03\x04", None])
def test_kept_phantoms_that_are_none(tmp_path, kept):
    source = open_source("phantom", tmp_path, "train", PHANTOM)
    path = source._path(10_000_000)  # type: ignore[attr-defined]
    if kept is None:
        np.savez(path, fixed=np.zeros(3))
    else:
        path.write_bytes(kept)
    one_line(f"{path} is damaged", source.sample, 0, np.random.default_rng(0))


def test_hearts_that_no_slice_shows_whole(tmp_path):
    root = acdc(tmp_path)
    for number in (1, 2):
        labels = heart(radius=7.0)
        labels[:3][labels[:3] == 1] = 0
        labels[3:][labels[3:] == 3] = 0
        folder = root / f"training/patient{number:03d}"
        write_volume(folder / f"{folder.name}_frame07_gt.nii.gz", labels)
    words = "no slice of the split 'train' shows every label"
    one_line(words, open_source, "acdc", root, "train", {"slices": "all"})
    assert len(open_source("acdc", root, "train")) == 2


SCHEME = """
[[tissue]]
name = "stiff"
label = {stiff}
color = [1, 2, 3]
elasticity = [0.0, 0.5]
labels = [1]
[[tissue]]
name = "background"
label = 0
color = [0, 0, 0]
elasticity = [0.0, 0.1]
[[tissue]]
name = "soft"
label = {soft}
color = [3, 2, 1]
elasticity = [0.0, 0.1]
labels = [2]
"""


def labelled(root: Path) -> Path:
    labels = np.zeros((10, 12, 14), np.int16)
    labels[2:5], labels[5:8] = 1, 2
    for side in ("fixed", "moving"):
        write_volume(root / f"train/anna/{side}.nii.gz", labels + 0.5)
        write_volume(root / f"train/anna/{side}_labels.nii.gz", labels)
    return root


@pytest.mark.parametrize(("stiff", "soft"), [(2, 1), (1, 2)])
def test_tissues_of_a_scheme_come_by_label_not_by_place_in_the_file(tmp_path, stiff, soft):
    scheme = tmp_path / "own.toml"
    scheme.write_text(SCHEME.format(stiff=stiff, soft=soft))
    options = {"initial": "none", "scheme": str(scheme)}
    source = open_source("own", labelled(tmp_path), "train", options)
    labels = source.sample(0, np.random.default_rng(0)).fixed_labels
    assert list(source.label_names) == [0, 1, 2]
    assert labels is not None
    assert source.label_names[int(labels[0, 3, 0, 0])] == "stiff"
    assert list(source.label_names.values())[int(labels[0, 6, 0, 0])] == "soft"


def test_a_scheme_that_leaves_labels_out(tmp_path):
    scheme = tmp_path / "own.toml"
    scheme.write_text(SCHEME.format(stiff=5, soft=2))
    options = {"initial": "none", "scheme": str(scheme)}
    words = "own.toml with the labels 0, 2, 5; expected 0 to 2, none left out"
    one_line(words, open_source, "own", labelled(tmp_path), "train", options)


def test_oasis_is_known_by_freesurfers_numbers(tmp_path):
    source = open_source("oasis", oasis(tmp_path), "train", {"scheme": "brain-mr"})
    fixed = source.sample(0, np.random.default_rng(0)).fixed_labels
    assert fixed is not None
    assert source.label_names[int(fixed.max())] == "white_matter"  # label 1 is number 2
    for path in (tmp_path / "labelsTr").iterdir():
        write_volume(path, np.full((8, 9, 10), 36, np.int16), (1.0,) * 3)
    one_line("a label 36; expected 0 to 35", open_source, "oasis", tmp_path, "train",
             {"scheme": "brain-mr"})  # fmt: skip


def test_every_validation_pair_of_a_mixture_is_there_once():
    parts = [Discs(2, ("a", "b")), Discs(3, ("c", "d", "e"))]
    mixed = MixtureSource([*parts], [1.0, 9.0], "val")
    nothing = np.random.default_rng(0)
    found = [mixed.sample(index, nothing).patient for index in range(len(mixed))]
    assert found == ["a", "b", "c", "d", "e"]
    with pytest.raises(IndexError):
        mixed.sample(5, nothing)
    options = {"parts": [{"source": "shapes", "options": {"size": [12, 12], "held_out": 2}}] * 2}
    assert len(open_source("mixture", None, "val", options)) == 4
