"""Models on disk: what is saved comes back, what is wrong is refused by name."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ElasticHyperRegLib import InputError, resources
from ElasticHyperRegLib.networks import SPECS, HyperMorphOptions, LapIRNOptions, build
from ElasticHyperRegLib.weights import (
    find_model,
    list_models,
    load_model,
    model_reference,
    packaged_folder,
    save_model,
    user_folder,
)

ABOUT = {
    "expects": {"modality": "MR", "spacing_mm": [1.8, 1.8], "size": [128, 128]},
    "training": {
        "data": "generated shapes",
        "licence": "CC0-1.0",
        "command": "elastic-hyperreg train shapes.toml",
        "log": "step 5000: 0.12",
        "revision": "0123abc",
        "seed": 3,
    },
    "licence": "Apache-2.0",
    "metrics": {"validation 101–120": {"mean_dice": 0.857, "folds_fraction": 4e-4}},
}
UNET = HyperMorphOptions(rank=2, encoder=(2, 2), decoder=(2, 2), last=(2,))
SPEC = replace(SPECS["elas-g"], ndim=2, options=UNET)
TISSUES = ("background", "RV", "myocardium", "LV")


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's model folder of this test."""
    folder = tmp_path / "models"
    monkeypatch.setenv("ELASTIC_HYPERREG_MODELS", str(folder))
    return folder


@pytest.fixture
def saved(models: Path) -> Path:
    save_model(build(SPEC), ABOUT, models / "heart")
    return models / "heart"


def edit_card(folder: Path, change) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text("utf-8"))
    change(card)
    path.write_text(json.dumps(card), "utf-8")


def edit_weights(folder: Path, change) -> None:
    """Change the tensors and make the checksum right again."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_card(folder, lambda card: card.update(sha256=checksum))


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, name="elas-sas", conditioning="tissue", tissues=TISSUES),
        replace(SPECS["CIR-DM"], ndim=2, options=LapIRNOptions(1, blocks=1)),
        replace(SPECS["CSAIN-elastic"], ndim=2, options=LapIRNOptions(1, blocks=1)),
    ],
)
def test_saved_model_comes_back_bit_for_bit(spec, models):
    model = build(spec)
    written = save_model(model, ABOUT, models / "heart")
    random = torch.get_rng_state()
    loaded, card = load_model("heart")
    assert torch.equal(random, torch.get_rng_state())
    assert card == written
    assert (card.name, card.model, card.expects.size) == ("heart", spec, (128, 128))
    state, original = loaded.state_dict(), model.state_dict()
    assert state.keys() == original.keys()
    assert all(torch.equal(state[name], original[name]) for name in state)
    assert not loaded.training
    assert not any(p.requires_grad or p.is_meta for p in loaded.parameters())


def test_loaded_model_registers_as_the_saved_one(saved):
    loaded, _ = load_model(saved)
    fixed, moving = torch.rand(2, 1, 1, 20, 20)
    conditioning = torch.tensor([[0.1, 0.3]])
    again = build(SPEC)
    again.load_state_dict(loaded.state_dict())
    assert torch.equal(
        loaded(fixed, moving, conditioning).displacement,
        again(fixed, moving, conditioning).displacement,
    )


def test_float16_halves_the_file_and_is_read_as_float32(saved, models):
    model, _ = load_model(saved)
    save_model(model, ABOUT, models / "half", dtype=torch.float16)
    half, card = load_model("half")
    assert card.weights.stat().st_size < 0.7 * (saved / "model.safetensors").stat().st_size
    for given, kept in zip(model.parameters(), half.parameters(), strict=True):
        assert kept.dtype == torch.float32
        assert torch.equal(kept, given.half().float())


def test_card_names_everything(saved):
    card = json.loads((saved / "card.json").read_text("utf-8"))
    assert card["model"]["backbone"] == "hypermorph"
    assert card["model"]["conditioning"] == "global"
    assert card["model"]["options"]["rank"] == 2
    assert card["expects"]["intensity_window"] is None
    untold = {key: card["training"].pop(key) for key in ("supervision", "start_from", "versions")}
    assert untold == {"supervision": "images", "start_from": None, "versions": {}}
    assert card["training"] == ABOUT["training"]
    assert card["metrics"] == ABOUT["metrics"]
    data = (saved / "model.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(data).hexdigest()


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def no_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04pickle")
    checksum = hashlib.sha256(b"\x80\x04pickle").hexdigest()
    edit_card(folder, lambda card: card.update(sha256=checksum))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, r"model\.safetensors with SHA-256 .* as card\.json says"),
        (no_safetensors, r"model\.safetensors is no safetensors file"),
        (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors cannot be read"),
        (
            lambda f: edit_weights(f, lambda t: t.pop("flow.bias")),
            r"model\.safetensors lacks flow\.bias",
        ),
        (
            lambda f: edit_weights(f, lambda t: t.update(extra=torch.zeros(1))),
            r"model\.safetensors has an unexpected extra",
        ),
        (
            lambda f: edit_weights(f, lambda t: t.update({"flow.bias": torch.zeros(3)})),
            r"model\.safetensors has flow\.bias of shape \(3,\) in place of \(2,\)",
        ),
        (
            lambda f: edit_card(f, lambda c: c["model"]["options"].update(rank=3)),
            r"model\.safetensors has .* and \d+ more; .* as .*card\.json describes it",
        ),
        (
            lambda f: edit_card(f, lambda c: c["model"].update(backbone="vit")),
            r"card\.json, model has backbone 'vit'; expected hypermorph or lapirn",
        ),
        (
            lambda f: edit_card(f, lambda c: c["model"].update(ndim=5)),
            r"card\.json, model: elas-g in 5 dimensions",
        ),
        (lambda f: edit_card(f, lambda c: c.pop("model")), r"card\.json, model holds None"),
        (lambda f: edit_card(f, lambda c: c.pop("licence")), r"card\.json lacks licence"),
        (lambda f: edit_card(f, lambda c: c.update(mood=1)), r"card\.json has an unknown mood"),
        (lambda f: edit_card(f, lambda c: c.update(format=2)), r"card\.json, format is 2"),
        (
            lambda f: edit_card(f, lambda c: c["expects"].update(size=[128])),
            r"card\.json expects 1 sizes and 2 spacings; expected 2 of each",
        ),
        (
            lambda f: edit_card(f, lambda c: c["expects"].update(spacing_mm=[0, 1])),
            r"card\.json expects a spacing",
        ),
        (
            lambda f: edit_card(f, lambda c: c["expects"].update(intensity_window=[600, -1000])),
            r"card\.json, expects: an intensity window of \[600.0, -1000.0\]",
        ),
        (
            lambda f: edit_card(f, lambda c: c["training"].update(supervision="a guess")),
            r"supervision is 'a guess'; expected images or images and labels",
        ),
        (lambda f: (f / "card.json").write_text("{"), r"card\.json is no JSON"),
        (lambda f: (f / "card.json").write_text("[]"), r"card\.json holds no table"),
    ],
)
def test_bad_models_are_refused_by_file(saved, damage, message):
    damage(saved)
    with pytest.raises(InputError, match=message) as caught:
        load_model("heart")
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("training"), "the card of heart lacks training"),
        (lambda a: a["training"].pop("seed"), "the card of heart, training lacks seed"),
        (lambda a: a["expects"].update(size=[1.5, 2]), "size is 1.5; expected a whole number"),
        (lambda a: a["expects"].update(intensity_window=[0, 1, 2]), "intensity_window is"),
        (lambda a: a["metrics"].update(test=0.8), "metrics is 0.8"),
        (lambda a: a.update(sha256="0"), "unknown sha256"),
    ],
)
def test_incomplete_card_is_not_written(models, change, message):
    about = copy.deepcopy(ABOUT)
    change(about)
    with pytest.raises(InputError, match=message):
        save_model(build(SPEC), about, models / "heart")
    assert not models.exists()


def test_full_disk_leaves_the_older_model(saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="heart cannot be written .No space left on device"):
        save_model(build(SPEC), ABOUT, saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_folder_that_is_a_file_is_refused(models):
    models.parent.joinpath("taken").write_text("")
    with pytest.raises(InputError, match="taken cannot be written"):
        save_model(build(SPEC), ABOUT, models.parent / "taken")


def test_saving_again_replaces(saved):
    first, _ = load_model(saved)
    save_model(build(SPEC), ABOUT, saved)
    second, _ = load_model(saved)
    assert sorted(path.name for path in saved.iterdir()) == ["card.json", "model.safetensors"]
    assert any(
        not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_models_are_found_by_name_and_by_folder(saved, monkeypatch):
    assert find_model("heart") == saved
    monkeypatch.chdir(saved.parent)
    assert load_model(Path("heart"))[1].name == "heart"


def test_a_folder_here_does_not_hide_an_installed_model(saved, tmp_path, monkeypatch):
    (tmp_path / "here" / "heart").mkdir(parents=True)
    (tmp_path / "here" / "heart" / "card.json").write_text("broken")
    monkeypatch.chdir(tmp_path / "here")
    assert find_model("heart") == saved
    assert find_model("./heart") == Path("heart")
    assert model_reference("heart") == "heart"
    assert model_reference("./heart") == str(tmp_path / "here" / "heart")
    assert model_reference("lungs") == "lungs"


def test_unknown_model_names_the_installed_ones(saved):
    with pytest.raises(InputError, match=r"no model lungs; expected .* one of: .*heart"):
        load_model("lungs")


def test_users_model_hides_the_packaged_one(saved, tmp_path, monkeypatch, caplog):
    package = tmp_path / "package"
    monkeypatch.setattr(resources, "_PACKAGE", package)
    root = tmp_path / "Resources" / "Models"
    for name in ("heart", "lungs", "broken"):
        save_model(build(SPEC), ABOUT, root / name)
    edit_card(root / "broken", lambda card: card.pop("sha256"))
    with caplog.at_level(logging.WARNING):
        cards = list_models()
    assert [card.folder for card in cards] == [saved, root / "lungs"]
    assert "broken" in caplog.text
    assert "lacks sha256" in caplog.text


def test_resources_inside_the_package_come_first(tmp_path, monkeypatch):
    package = tmp_path / "package"
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert packaged_folder() == tmp_path / "Resources" / "Models"
    (package / "Resources").mkdir(parents=True)
    assert packaged_folder() == package / "Resources" / "Models"


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "data/elastic-hyperreg/models"),
        ("linux", None, "home/.local/share/elastic-hyperreg/models"),
        ("darwin", None, "home/Library/Application Support/elastic-hyperreg/models"),
        ("win32", "LOCALAPPDATA", "data/elastic-hyperreg/models"),
    ],
)
def test_user_folder_of_each_platform(platform, variable, expected, tmp_path, monkeypatch):
    for name in ("ELASTIC_HYPERREG_MODELS", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "data"))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert user_folder() == tmp_path / expected
