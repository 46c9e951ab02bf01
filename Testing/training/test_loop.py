"""Runs of a few steps: they learn, they go on after a kill, they refuse what is not theirs."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import spec_from_table
from ElasticHyperRegLib.similarity import LocalNCC
from ElasticHyperRegLib.weights import load_model
from training.batches import Batch, prefetched, training_batch
from training.checkpoint import FILE, origin
from training.command import Pace
from training.config import TrainingConfig, config_from_table
from training.data import PairSample
from training.export import export
from training.hardware import Hardware
from training.journal import (
    Journal,
    read_scores,
    tensorboard_writer,
    this_start,
    write_record,
)
from training.loop import Sources, batch_loss, fit
from training.place import Place
from training.run import open_sources, train
from training.state import begin
from training.validation import Score

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
    fabric = Hardware("cpu").fabric(settings)
    sources = Sources(source or Discs(), Discs())
    state = begin(settings, fabric, folder, origin(settings, sources.patients, 1))
    state.starts.append(this_start("train", 1, state.step))
    write_record(folder, settings, state.starts)
    fit(settings, sources, state, Place(fabric, folder), progress or (lambda step, loss: None))
    return state


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


@pytest.mark.parametrize(("keep", "step"), [("best", 3), ("last", 6)])
def test_weights_are_those_of_the_best_validation_or_the_last(tmp_path, monkeypatch, keep, step):
    falling = iter((0.9, 0.5))
    monkeypatch.setattr(
        "training.loop.validate", lambda *_: [Score((0.0, 0.1), 0.1, next(falling), 0.0)]
    )
    settings = config()
    state = run(replace(settings, validation=replace(settings.validation, keep=keep)), tmp_path)
    assert state.best_step == step


def test_accumulated_batches_count_once(tmp_path):
    state = run(config(accumulate=2, steps=2, every=2), tmp_path)
    assert state.step == 2
    assert state.schedule.last_epoch == 2


def test_accumulated_gradients_are_the_mean_of_their_batches(tmp_path):
    """Clipping made harmless, the first moment of Adam is 1 − β₁ of the gradient."""
    settings = config(accumulate=2, steps=1, every=1, clip=1e9)
    fabric = Fabric(accelerator="cpu", devices=1)
    state = begin(settings, fabric, tmp_path, origin(settings, (), 1))
    model = state.network
    for part in range(2):
        seed = (settings.seed, 0, part, 0)
        batch = training_batch(Discs(), 2, seed)
        (batch_loss(settings, Discs(), model, batch, seed) / 2).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    stepped = run(settings, tmp_path / "run")
    part_kept = 1 - state.optimizer.param_groups[0]["betas"][0]
    for name, parameter in stepped.network.named_parameters():
        found = stepped.optimizer.state[parameter]["exp_avg"] / part_kept
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(found, expected[name], rtol=1e-3, atol=1e-3 * scale + 1e-12)


def test_half_precision_stays_near_full_precision(tmp_path, monkeypatch):
    """Of a similarity that is float32 whatever the convolutions are."""
    seen = []
    similarity = LocalNCC.map

    def watched(self: LocalNCC, warped: torch.Tensor) -> torch.Tensor:
        found = similarity(self, warped)
        seen.append((warped.dtype, found.dtype, torch.is_autocast_enabled("cpu")))
        return found

    monkeypatch.setattr(LocalNCC, "map", watched)
    losses: dict[str, list[float]] = {"32-true": [], "bf16-mixed": []}
    for precision, found in losses.items():
        settings = config(steps=8, every=8, precision=precision)
        run(settings, tmp_path / precision, None, lambda step, loss, to=found: to.append(loss))
    assert set(seen) == {(torch.float32, torch.float32, False)}
    assert losses["bf16-mixed"] != losses["32-true"]
    near = 0.02 * max(losses["32-true"])
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], abs=near)


def test_threads_that_work_ahead_change_nothing(tmp_path):
    seeds = [(1, step, 0, 0) for step in range(7)]
    expected = [(seed, training_batch(Discs(), 2, seed)) for seed in seeds]
    for workers in (1, 3, 9):
        found = prefetched(partial(training_batch, Discs(), 2), seeds, workers)
        for (seed, batch), (other, same) in zip(found, expected, strict=True):
            assert seed == other
            assert torch.equal(batch.fixed, same.fixed)
            assert torch.equal(batch.moving, same.moving)


def test_a_fault_of_a_thread_reaches_the_loop():
    def broken(seed: tuple[int, ...]) -> Batch:
        raise InputError(f"seed {seed}", "none")

    with pytest.raises(InputError, match="seed"):
        list(prefetched(broken, [(0,), (1,), (2,)], 1))


def test_tensorboard_gets_what_the_tables_get(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    journal = Journal(tmp_path, tensorboard=True)
    journal.go_on(0)
    journal.step(10, {"loss": 0.5})
    journal.step(20, {"loss": 0.25})
    journal.scores(20, [Score((0.0, 0.1), 0.4, 0.8, 0.0)])
    later = Journal(tmp_path, tensorboard=True)
    later.go_on(10)
    later.step(20, {"loss": 0.125})
    board = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("loss")] == [(10, 0.5), (20, 0.125)]
    assert (tmp_path / "steps.csv").read_text().split() == ["step,loss", "10,0.5", "20,0.125"]
    assert not (tmp_path / "validation.csv").exists()


def test_without_tensorboard_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install .elastic-hyperreg\[train\]"):
        tensorboard_writer()


def test_hardware_that_is_not_there_is_one_line():
    for hardware in (Hardware("cuda"), Hardware("abacus")):
        with pytest.raises(InputError, match="--accelerator") as caught:
            hardware.fabric(config())
        assert "\n" not in str(caught.value)


def test_a_run_of_another_configuration_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("training.run.open_sources", lambda config, data: Sources(Discs(), Discs()))
    monkeypatch.setattr("training.run.read_config", lambda path: config(steps=path.stem.count("x")))
    out = tmp_path / "run"

    def start(name: str):
        return train(Path(name), None, out, Hardware("cpu"), lambda step, loss: None)

    card = start("xx.toml")
    assert card is not None and card.name == "discs"
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(InputError, match="another configuration"):
        start("xxx.toml")
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_a_map_model_learns_from_images_without_labels(tmp_path):
    class Unlabelled(Discs):
        label_names: dict[int, str] = {}

        def sample(self, index: int, rng: np.random.Generator) -> PairSample:
            return replace(super().sample(index, rng), fixed_labels=None, moving_labels=None)

    lapirn = {"backbone": "lapirn", "conditioning": "map", "map_sigma_vox": 0.8}
    options = {"start_channels": 1, "blocks": 1, "levels": 2}
    settings = config(steps=2, every=2)
    model = spec_from_table({"name": "CSAIN", "ndim": 2, "options": options, **lapirn}, "test")
    state = run(replace(settings, model=model), tmp_path, Unlabelled())
    assert state.step == 2


def test_a_run_says_how_fast_it_goes(monkeypatch):
    now = iter((100.0, 101.0, 105.0))
    monkeypatch.setattr("training.command.perf_counter", lambda: next(now))
    pace = Pace(50)
    assert pace.words(11, 0.5) == "step 11 of 50, loss 0.5000, 1 steps/s, 0:00:39 left"
    assert pace.words(20, 0.25) == "step 20 of 50, loss 0.2500, 2 steps/s, 0:00:15 left"
    assert pace.first == 11


def test_labels_take_part_when_asked(tmp_path):
    plain = run(config(steps=3, every=3), tmp_path / "plain")
    labelled = run(config(steps=3, every=3, labels=1.0), tmp_path / "labelled")
    a, b = plain.network.state_dict(), labelled.network.state_dict()
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    run(config(), tmp_path)
    with pytest.raises(InputError, match="another configuration"):
        run(config(steps=7), tmp_path)


def test_a_checkpoint_of_other_patients_is_refused(tmp_path):
    run(config(steps=2, every=2), tmp_path)
    with pytest.raises(InputError, match="another list of patients"):
        run(config(steps=2, every=2), tmp_path, Discs(patients=("d", "e", "f")))


def test_a_checkpoint_of_more_processes_is_refused(tmp_path):
    settings = config(steps=2, every=2)
    run(settings, tmp_path)
    mine = origin(settings, Sources(Discs(), Discs()).patients, 2)
    with pytest.raises(InputError, match="another number of processes"):
        begin(settings, Hardware("cpu").fabric(settings), tmp_path, mine)


def test_a_damaged_checkpoint_is_named(tmp_path):
    run(config(), tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        run(config(), tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    kill_at(5, config(), tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
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

    with pytest.raises(InputError, match="no number"):
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
    settings = config()
    solid = replace(settings, model=replace(settings.model, ndim=3))
    monkeypatch.setattr("training.run.open_source", lambda *given: Discs(1, (given[2],)))
    with pytest.raises(InputError, match="3D"):
        open_sources(solid, None)


def test_a_patient_in_two_splits_is_refused(monkeypatch):
    monkeypatch.setattr("training.run.open_source", lambda *_: Discs())
    with pytest.raises(InputError, match="stands in"):
        open_sources(config(), None)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"spacing": (1.0, 2.0)}, "of 1×1 mm and validation on .* of 1×2 mm; expected one spacing"),
        ({"label_names": {0: "background", 1: "a"}}, "core in training and a in validation"),
    ],
)
def test_splits_of_different_kinds_are_refused(monkeypatch, about, words):
    def opened(name, root, split, *_) -> Discs:
        discs = Discs(1, (split,))
        if split == "val":
            vars(discs).update(about)
        return discs

    monkeypatch.setattr("training.run.open_source", opened)
    with pytest.raises(InputError, match=words):
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
