"""``models``, and a model at work in ``register``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ElasticHyperRegLib.weights import folders
from Testing.unit.cli_help import refused, run
from Testing.unit.small_pair import PairOnDisk, write_pair
from Testing.unit.tiny_models import constant, install, tiny_spec


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch) -> Path:
    """The only model folder of this test."""
    monkeypatch.setenv("ELASTIC_HYPERREG_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(folders, "packaged_folder", lambda: tmp_path / "none")
    return tmp_path / "models"


@pytest.fixture(scope="module")
def pair_files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("pair"))


def words(files: PairOnDisk, out: Path) -> tuple[object, ...]:
    given = ("--fixed", files.fixed, "--moving", files.moving, "--out", out)
    return ("register", *given, "--initial", "none", "--device", "cpu")


def test_nothing_installed(capsys, models):
    code, said, err = run(capsys, "models")
    assert (code, err) == (0, "")
    assert "No trained model is installed" in said
    assert str(models) in said


def test_installed_models_with_all_there_is_to_know(capsys, models):
    tissues = ("background", "lung")
    licence = "CC BY-NC 4.0"
    install(constant(tiny_spec(), (0, 0, 0)), models / "thorax", licence=licence)
    sas = constant(tiny_spec("elas-sas", tissues=tissues), (0, 0, 0))
    install(sas, models / "sas", {"modality": "MR", "spacing_mm": [1.8, 1.8, 5.0]})
    diffusion = install(constant(tiny_spec("diff-g"), (0, 0, 0)), models / "diff")
    diffusion.weights.write_bytes(diffusion.weights.read_bytes() + b"x")
    code, said, _ = run(capsys, "models")
    assert code == 0
    lines = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert "CT 3D, 3×3×3 mm, about 24×24×24" in lines["thorax"]
    assert "λ, μ for everywhere" in lines["thorax"]
    assert " MB " in lines["thorax"]
    assert licence in lines["thorax"]
    assert lines["thorax"].rstrip().endswith("right")
    assert "MR 3D, 1.8×1.8×5 mm" in lines["sas"]
    assert "λ, μ of background, lung" in lines["sas"]
    assert "α = λ + μ" in lines["diff"]
    assert "WRONG" in lines["diff"]
    diffusion.weights.unlink()
    assert "model.safetensors is missing" in run(capsys, "models")[1]


def test_register_with_a_model(capsys, models, pair_files, tmp_path):
    install(constant(tiny_spec(), (1.0, -1.5, 0.5)), models / "thorax")
    code, said, err = run(capsys, *words(pair_files, tmp_path / "out"), "--refine", 0)
    assert (code, err) == (0, "")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert metrics["model"] == "thorax"
    assert "network" in metrics["seconds"]
    assert "refine" not in metrics["seconds"]
    assert "model thorax, cpu" in said
    assert f"this model: {metrics['model_choice']}" in " ".join(said.split())
    named = (*words(pair_files, tmp_path / "named"), "--model", "thorax", "--refine", 3)
    assert run(capsys, *named)[0] == 0
    refined = json.loads((tmp_path / "named" / "metrics.json").read_text("utf-8"))
    assert "refine" in refined["seconds"]
    assert refined["objective"]["after"] <= refined["objective"]["before"]


def test_a_damaged_model_is_refused(capsys, models, pair_files, tmp_path):
    card = install(constant(tiny_spec(), (0, 0, 0)), models / "thorax")
    card.weights.write_bytes(card.weights.read_bytes() + b"x")
    given = (*words(pair_files, tmp_path / "out"), "--model", "thorax")
    assert "SHA-256" in refused(capsys, *given)
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_refused_before_anything_is_read(capsys, models, tmp_path):
    install(constant(tiny_spec(), (0, 0, 0)), models / "thorax")
    nowhere = PairOnDisk(*(tmp_path / "nowhere.nii.gz" for _ in PairOnDisk._fields))
    line = refused(capsys, *words(nowhere, tmp_path / "out"), "--model", "brain")
    assert "no model brain; expected a folder with a card.json, or one of: thorax" in line
