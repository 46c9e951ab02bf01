"""Which model answers a request, and why."""

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
from ElasticHyperRegLib.engine import choose_model, model_choice
from ElasticHyperRegLib.engine.intensity import is_ct, normalised
from ElasticHyperRegLib.engine.model import measured
from ElasticHyperRegLib.weights import folders, packaged_folder, read_card
from Testing.unit.small_pair import small_request
from Testing.unit.tiny_models import TRAINING, UNET, install, lively, tiny_spec

SOFT, HARD = Elasticity(0.0, 0.1), Elasticity(0.1, 0.8)
CT = {"size": [24, 24, 24]}
MR = {"modality": "MR", "intensity_window": None, "spacing_mm": [1.8, 1.8], "size": [64, 64]}
TISSUES = ("background", "body", "organ")
PACKAGED = sorted(path.parent for path in packaged_folder().glob("*/card.json"))


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """The only model folder of this test."""
    folder = tmp_path / "models"
    monkeypatch.setenv("ELASTIC_HYPERREG_MODELS", str(folder))
    monkeypatch.setattr(folders, "packaged_folder", lambda: tmp_path / "none")
    return folder


def asked(request: RegistrationRequest | None = None, **options) -> RegistrationRequest:
    given = RegistrationOptions(device="cpu", **options)
    return replace(request or small_request(), options=given)


def volume(spacing=(1.5, 1.5, 10.0), size=(70, 64, 6), low=0.0, names=None) -> RegistrationRequest:
    """A pair with values from ``low`` to ``low`` + 1000; labels named ``names`` from 0 on."""
    grid = Grid.from_spacing(size[::-1], spacing)
    values = torch.linspace(low, low + 1000, grid.voxels).view(1, 1, *grid.shape)
    image = Image(values, grid)
    labels = None
    if names is not None:
        data = torch.arange(grid.voxels).view_as(values) % len(names)
        labels = LabelMap(data.int(), grid, dict(enumerate(names)))
    return RegistrationRequest(image, image, fixed_labels=labels)


# CT or not


@pytest.mark.parametrize(
    ("low", "padding", "expected"),
    [(-1000, False, True), (-1024, False, True), (-1000, True, True), (0, False, False),
     (-500, False, False), (-4096, False, False)],
)  # fmt: skip
def test_ct_is_known_by_its_air(low, padding, expected):
    values = torch.linspace(low, low + 2000, 512).view(1, 1, 8, 8, 8)
    if padding:
        values[:, :, :2] = -2048
    assert is_ct(Image(values, Grid((8, 8, 8), np.eye(4)))) is expected


def test_a_few_values_below_air_do_not_hide_a_ct():
    generator = torch.Generator().manual_seed(0)
    values = -1024 + 40 * torch.randn(1, 1, 16, 16, 16, generator=generator)
    values[:, :, 8:] += 1024
    values[0, 0, 0, 0, 0] = -1500
    image = Image(values, Grid((16, 16, 16), np.eye(4)))
    assert is_ct(image)
    assert torch.equal(normalised(image), ((values + 1000) / 1600).clamp(0, 1))


# By name


def test_an_unknown_name_is_refused_with_the_known_ones(models):
    install(lively(tiny_spec()), models / "thorax")
    install(lively(tiny_spec()), models / "heart")
    with pytest.raises(InputError, match="no model brain; .* one of: heart, thorax; put its"):
        register(asked(model="brain"))


def test_a_name_is_obeyed(models):
    card = install(lively(tiny_spec()), models / "thorax", {"modality": "US"})
    chosen = model_choice(asked(model="thorax"))
    assert chosen.card is not None
    assert (chosen.card.name, chosen.reason) == ("thorax", "its name was given")
    assert choose_model(asked(model=str(card.folder))) is not None
    assert choose_model(asked(model="none")) is None


def test_what_a_named_model_cannot_do_is_refused(models):
    install(lively(tiny_spec()), models / "thorax")
    install(lively(tiny_spec("elas-sas", tissues=("background", "organ"))), models / "sas")
    with pytest.raises(InputError, match="2D images for thorax, a 3D model"):
        register(asked(small_request(dim=2), model="thorax"))
    differing = {"organ": HARD}
    with pytest.raises(InputError, match="model 'thorax', which takes one λ and μ for everywhere"):
        register(asked(model="thorax", tissues=differing))
    with pytest.raises(InputError, match="model 'sas', which does not know body"):
        register(asked(model="sas", tissues=differing))
    same = dict.fromkeys(("background", "body", "organ"), HARD)
    assert choose_model(asked(model="thorax", tissues=same)) is not None


# Automatically


def test_nothing_installed_leaves_the_solver():
    assert model_choice(asked()).reason == "no model is installed"
    assert choose_model(asked()) is None


def test_a_fitting_model_is_taken_and_explained(models):
    install(lively(tiny_spec()), models / "thorax", CT)
    chosen = model_choice(asked())
    assert chosen.card is not None
    assert chosen.reason == "3D, CT, about 3×3×3 mm, one λ and μ for everywhere"
    result = register(asked(initial="none", refine=0))
    assert result.metrics["model"] == "thorax"
    assert result.metrics["model_choice"] == chosen.reason


def test_a_model_that_is_far_off_is_left_unless_it_was_named(models, monkeypatch):
    install(lively(tiny_spec()), models / "thorax", CT)
    alone = register(asked(initial="none", model="none"))
    found = {}
    for far in (True, False):
        monkeypatch.setattr(
            "ElasticHyperRegLib.engine.answer.is_far_off",
            lambda problem, field, tick, far=far: far,
        )
        for model in ("auto", "thorax"):
            found[far, model] = register(asked(initial="none", model=model))
    left = found[True, "auto"]
    assert torch.equal(left.displacement.u_mm, alone.displacement.u_mm)
    assert left.metrics["model"] == "none (the answer of thorax was far off)"
    assert left.metrics["model_choice"] == "the answer of thorax was far off"
    assert "model_sha256" not in left.metrics
    used = found[True, "thorax"]
    assert used.metrics["model"] == "thorax"
    for key in ((False, "auto"), (False, "thorax")):
        assert torch.equal(found[key].displacement.u_mm, used.displacement.u_mm)
        assert not torch.equal(found[key].displacement.u_mm, alone.displacement.u_mm)


@pytest.mark.parametrize(
    ("expects", "words"),
    [
        ({"modality": "MR"}, "thorax expects MR"),
        ({"spacing_mm": [1.0, 1.0, 1.0], "size": [70] * 3}, "thorax expects 1×1×1 mm"),
        ({"size": [96, 96, 96]}, "thorax expects a field of view of 288×288×288 mm"),
        ({"size": [4, 4, 4]}, "thorax expects a field of view of 12×12×12 mm"),
    ],
)
def test_scans_that_a_model_does_not_know(models, expects, words):
    install(lively(tiny_spec()), models / "thorax", expects)
    assert model_choice(asked()).card is None
    assert model_choice(asked()).reason == words


def test_models_for_other_dimensions(models):
    install(lively(tiny_spec()), models / "thorax", CT)
    install(lively(tiny_spec("elas-g", 2)), models / "slice", {**MR, "modality": "CT"})
    chosen = model_choice(asked(small_request(dim=2)))
    assert chosen.card is not None
    assert (chosen.card.name, chosen.reason[:2]) == ("slice", "2D")
    install(lively(tiny_spec("elas-g", 2)), models / "slice", MR)
    reason = model_choice(asked(small_request(dim=2))).reason
    assert reason == "slice expects MR; thorax is for 3D"
    whole = model_choice(asked(volume((1.5,) * 3, (70, 64, 40))))
    assert (whole.card, whole.reason[:31]) == (None, "slice is for slices far apart; ")


def test_stacks_of_slices(models):
    install(lively(tiny_spec("elas-g", 2)), models / "heart", MR)
    chosen = model_choice(asked(volume()))
    assert chosen.card is not None
    assert chosen.reason.startswith("a stack of slices, no CT, taken for MR, about 1.8×1.8 mm")
    assert choose_model(asked(volume(low=-1000.0))) is None
    close = model_choice(asked(volume((1.5, 1.5, 4.0))))
    assert (close.card, close.reason) == (None, "heart is for slices far apart")


def test_tissues_decide(models):
    install(lively(tiny_spec()), models / "global", CT)
    install(lively(tiny_spec("CSAIN-elastic")), models / "map", CT)
    differing = {"organ": HARD}

    def name(**options) -> str:
        card = choose_model(asked(**options))
        return "none" if card is None else card.name

    assert name() == "global"
    assert name(tissues=differing) == "map"
    install(lively(tiny_spec("elas-sas", tissues=("background", "spleen"))), models / "other", CT)
    assert name(tissues=differing) == "map"
    install(lively(tiny_spec("elas-sas", tissues=TISSUES)), models / "sas", CT)
    assert name(tissues=differing) == "sas"
    assert name() == "global"


def test_a_map_model_of_these_tissues_is_preferred(models):
    install(lively(tiny_spec("CSAIN-elastic", tissues=("background", "lung"))), models / "a", CT)
    install(lively(tiny_spec("CSAIN-elastic", tissues=TISSUES)), models / "b", CT)
    card = choose_model(asked(tissues={"organ": HARD}))
    assert card is not None
    assert card.name == "b"


def test_the_better_measured_of_two_is_taken(models):
    for name, dice, folds in (("a", 0.80, 0.0), ("b", 0.84, 0.001), ("c", 0.86, 0.004)):
        metrics = {"val": {"dice at 0 0.1": dice, "folds at 0 0.1": folds, "dice at 0.3": 0.1}}
        card = install(lively(tiny_spec()), models / name, CT, metrics=metrics)
    assert measured(card) == pytest.approx({Elasticity(0, 0.1): 0.78, Elasticity(0, 0.3): 0.1})
    best = choose_model(asked())
    assert best is not None
    assert best.name == "b"


def test_the_better_of_two_is_taken_however_often_it_looks(models):
    for name, passes, dice in (("once", 1, 0.8), ("thrice", 3, 0.9)):
        spec = replace(tiny_spec(), options=replace(UNET, passes=passes))
        install(lively(spec), models / name, CT, metrics={"val": {"dice at 0 0.05": dice}})
    best = choose_model(asked())
    assert best is not None
    assert best.name == "thrice"


def test_one_that_no_labels_taught_is_taken_whatever_its_dice(models):
    supervision = {"a": "images and labels", "b": "images", "c": "images and labels"}
    for (name, saw), dice in zip(supervision.items(), (0.90, 0.85, 0.89), strict=True):
        about = {"training": {**TRAINING, "supervision": saw}}
        metrics = {"val": {"dice at 0 0.05": dice}}
        install(lively(tiny_spec()), models / name, CT, metrics=metrics, **about)
    best = choose_model(asked())
    assert best is not None
    assert best.name == "b"


def test_the_box_says_which_model_labels_taught():
    saw = {card.name: card.training.supervision for card in map(read_card, PACKAGED)}
    assert saw.pop("cardiac-elas-g-labels") == "images and labels"
    assert set(saw.values()) == {"images"}


def test_models_without_lambda_and_mu_wait_for_their_name(models):
    install(lively(tiny_spec("diff-g")), models / "diff", CT)
    assert model_choice(asked()).reason == "diff does not take λ and μ"
    assert choose_model(asked(model="diff")) is not None
