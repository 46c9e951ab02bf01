"""Runs of a few steps: they learn, they go on after a kill, they refuse what is not theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.weights import load_model
from training.batches import training_batch
from training.checkpoint import FILE
from training.config import TrainingConfig, config_from_table
from training.data import PairSample
from training.export import export
from training.journal import read_scores, write_record
from training.loop import Sources, fit
from training.run import open_sources

from .small_source import SIZE, Discs


def config(steps: int = 6, every: int = 3, **changes: object) -> TrainingConfig:
    table = {
        "name": "discs",
        "seed": 1,
        "model": {
            "name": "elas-g",
            "backbone": "hypermorph",
            "ndim": 2,
            "options": {"rank": 2, "encoder": [4, 4], "decoder": [4, 4], "last": [4]},
            "integration_steps": 3,
        },
        "data": {
            "source": "discs",
            "train": "train",
            "validation": "val",
            "description": "discs made for a test",
            "licence": "none needed",
        },
        "optimisation": {
            "steps": steps,
            "batch": 2,
            "learning_rate": 0.01,
            "window": 5,
            **changes,
        },
        "validation": {"every": every, "settings": [[0.0, 0.1], [0.0, 0.9]]},
        "card": {"modality": "test", "licence": "Apache-2.0"},
    }
    return config_from_table(table, repr(table), "test")


def run(settings: TrainingConfig, folder: Path, source: Discs | None = None, progress=None):
    fabric = Fabric(accelerator="cpu", devices=1)
    write_record(folder, settings, "train", 1)
    sources = Sources(source or Discs(), Discs())
    return fit(settings, sources, fabric, folder, progress or (lambda step, loss: None))


class Killed(Exception):
    """Stands for a process that is killed."""


def kill_at(last: int, settings: TrainingConfig, folder: Path) -> None:
    def kill(step: int, loss: float) -> None:
        if step == last:
            raise Killed

    with pytest.raises(Killed):
        run(settings, folder, progress=kill)


def test_training_lowers_the_objective(tmp_path):
    run(config(steps=150, every=50), tmp_path)
    rows = [r for r in read_scores(tmp_path) if r["setting"] == "0 0.1"]
    first = run(config(steps=1, every=1), tmp_path / "first").step
    start = [r for r in read_scores(tmp_path / "first") if r["setting"] == "0 0.1"]
    assert first == 1
    assert float(rows[-1]["objective"]) < 0.95 * float(start[-1]["objective"])


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole = run(config(), tmp_path / "whole")

    kill_at(5, config(), tmp_path / "killed")
    resumed = run(config(), tmp_path / "killed")
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    scores = [(tmp_path / folder / "validation.csv").read_text() for folder in ("whole", "killed")]
    assert scores[0] == scores[1]


def test_accumulated_batches_count_once(tmp_path):
    state = run(config(accumulate=2, steps=2, every=2), tmp_path)
    assert state.step == 2
    assert state.schedule.last_epoch == 2


def test_labels_take_part_when_asked(tmp_path):
    plain = run(config(steps=3, every=3), tmp_path / "plain")
    labelled = run(config(steps=3, every=3, labels=1.0), tmp_path / "labelled")
    a, b = plain.network.state_dict(), labelled.network.state_dict()
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    run(config(), tmp_path)
    with pytest.raises(InputError, match="another configuration"):
        run(config(steps=7), tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path):
    run(config(), tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        run(config(), tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    kill_at(5, config(), tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def full(self: Fabric, path: Path, state: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Fabric, "save", full)
    with pytest.raises(InputError, match="No space left"):
        run(config(), tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob(".*part"))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    class Broken(Discs):
        def sample(self, index: int, rng: np.random.Generator) -> PairSample:
            sample = super().sample(index, rng)
            sample.moving[...] = float("nan")
            return sample

    with pytest.raises(FloatingPointError, match="no number"):
        run(config(), tmp_path, Broken())
    assert not (tmp_path / FILE).exists()


def test_the_exported_model_gives_what_the_run_had(tmp_path):
    settings = config(steps=40, every=20)
    state = run(settings, tmp_path)
    card = export(settings, Discs(), state, tmp_path)
    model, read = load_model(card.folder)
    assert read.training.seed == 1
    assert read.expects.size == (SIZE, SIZE)
    assert read.metrics["val"]["dice at 0 0.1"] > 0
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, state.best[name], rtol=1e-3, atol=1e-4), name


def test_a_batch_is_a_function_of_its_seed():
    first, again, other = (training_batch(Discs(), 4, (1, step, 0, 0)) for step in (5, 5, 6))
    assert torch.equal(first.fixed, again.fixed)
    assert not torch.equal(first.fixed, other.fixed)


def test_images_and_labels_are_turned_together():
    for step in range(8):
        batch = training_batch(Discs(), 2, (0, step, 0, 0))
        core = batch.fixed_labels == 1
        assert batch.fixed[core].min() > batch.fixed[batch.fixed_labels == 0].max()


def test_a_model_of_another_dimension_is_refused(monkeypatch):
    from dataclasses import replace

    settings = config()
    solid = replace(settings, model=replace(settings.model, ndim=3))
    monkeypatch.setattr("training.run.open_source", lambda name, root, split, o: Discs(1, (split,)))
    with pytest.raises(InputError, match="3D"):
        open_sources(solid, None)


def test_a_patient_in_two_splits_is_refused(monkeypatch):
    monkeypatch.setattr("training.run.open_source", lambda name, root, split, o: Discs())
    with pytest.raises(InputError, match="stands in"):
        open_sources(config(), None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "positive"),
        ({"window": 4}, "odd"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"sped": 1}, "unknown sped"),
    ],
)
def test_a_wrong_configuration_is_named(changes, said):
    with pytest.raises(InputError, match=said):
        config(**changes)
