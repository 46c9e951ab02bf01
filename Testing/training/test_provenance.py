"""Where weights come from: every start, what they set out from, what taught them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import HyperMorphOptions, build
from ElasticHyperRegLib.weights import load_model, read_card
from training.checkpoint import FILE, save
from training.export import export
from training.hardware import Hardware
from training.inheritance import take_over
from training.journal import STEPS, Journal, revision
from training.loop import Sources
from training.place import Place, held
from training.run import train

from ..unit.tiny_models import TRAINING, install, lively, tiny_spec
from .small_source import Discs
from .test_loop import Killed, config, kill_at, run


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts the command on discs, each time with another revision; may be killed after a step."""
    revisions = (f"revision{number}" for number in count(1))
    monkeypatch.setattr("training.journal.revision", lambda: next(revisions))
    monkeypatch.setattr("training.run.open_sources", lambda *_: Sources(Discs(), Discs()))
    monkeypatch.setattr("training.run.read_config", lambda path: config(steps=6, every=3))

    def started(killed_after: int | None = None):
        def progress(step: int, loss: float) -> None:
            if step == killed_after:
                raise Killed

        return train(Path("discs.toml"), None, tmp_path / "run", Hardware("cpu"), progress)

    return started


def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text("utf-8"))


def test_every_start_is_told_and_the_card_names_those_that_count(start, tmp_path):
    with pytest.raises(Killed):
        start(killed_after=2)  # before the first checkpoint: nothing of it is left
    with pytest.raises(Killed):
        start(killed_after=4)
    card = start()
    starts = record(tmp_path / "run")["starts"]
    told = [(begun["step"], begun["revision"]) for begun in starts]
    assert told == [(0, "revision1"), (0, "revision2"), (3, "revision3")]
    assert all("torch" in begun["versions"] for begun in starts)
    assert card.training.revision == "revision2, revision3"
    assert card.training.versions == starts[-1]["versions"]
    assert read_card(card.folder) == card
    before = record(tmp_path / "run")
    assert start().training.revision == "revision2, revision3"  # nothing was trained
    assert record(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.toml", "name = 'theirs'\n"),
        ("run.json", '{"name": "theirs"}'),
        ("run.json", "[1]"),
        ("run.json", "no JSON"),
    ],
)
def test_a_record_of_something_else_is_not_overwritten(start, tmp_path, name, text):
    path = tmp_path / "run" / name
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match=f"{name} are not of a run of discs") as caught:
        start()
    assert "\n" not in str(caught.value)
    assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_the_card_tells_what_a_training_set_out_from(tmp_path):
    taught = {**TRAINING, "supervision": "images and labels"}
    older = install(lively(config().model), tmp_path / "older", training=taught)
    settings = config(steps=2, every=1, start_from=str(older.folder))
    kill_at(2, settings, tmp_path / "run")
    older.weights.rename(tmp_path / "away")  # a run that goes on does not need it any more
    card = export(settings, Discs(), run(settings, tmp_path / "run"), tmp_path / "run")
    assert card.training.start_from is not None
    assert (card.training.start_from.model, card.training.start_from.sha256) == (
        "older",
        older.sha256,
    )
    assert card.training.supervision == "images and labels"  # its teacher's teacher saw them
    assert read_card(card.folder) == card


def test_weights_that_are_not_tuned_stay_to_the_bit(tmp_path):
    older = install(lively(config().model), tmp_path / "older")
    before = load_model(older.folder)[0].state_dict()
    settings = config(steps=3, every=3, start_from=str(older.folder), tuned=("flow.*",))
    kill_at(2, settings, tmp_path / "run")
    card = export(settings, Discs(), run(settings, tmp_path / "run"), tmp_path / "run")
    after = load_model(card.folder)[0].state_dict()
    halves = {name: tensor.half().float() for name, tensor in before.items()}  # as cards keep them
    changed = {name for name in halves if not torch.equal(halves[name], after[name])}
    assert changed == {"flow.weight", "flow.bias"}


def test_what_is_to_be_tuned_must_be_there(tmp_path):
    with pytest.raises(InputError, match="tuned weights without start_from"):
        config(steps=1, every=1, tuned=("flow.*",))
    older = install(lively(config().model), tmp_path / "older")
    settings = config(steps=1, every=1, start_from=str(older.folder), tuned=("flow", "flow.*"))
    with pytest.raises(InputError, match="tuned 'flow', which names no weight of"):
        run(settings, tmp_path / "run")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"passes": 2}),
        ({}, {"force_window": 3}),
        ({}, {"passes": 2, "force_window": 3}),
        ({"passes": 2}, {"passes": 2, "force_window": 3}),
        ({"force_window": 3}, {"passes": 2, "force_window": 3}),
        ({"passes": 2}, {"force_window": 3}),
        ({}, {"gated": True}),
    ],
)
def test_a_pyramid_that_sees_more_sets_out_as_the_one_that_sees_less(tmp_path, before, after):
    spec = tiny_spec("CIR-DM", ndim=2)
    less = replace(spec, options=replace(spec.options, **before))
    older = install(lively(less), tmp_path / "older")
    more = build(replace(spec, options=replace(spec.options, **after)))
    _, anew = take_over(more, str(older.folder))
    assert all(".gate." in name for name in anew)
    kept, own = load_model(older.folder)[0].state_dict(), more.state_dict()
    for name, tensor in own.items():
        if ".gate." in name:
            assert torch.count_nonzero(tensor) == 0
        elif not name.endswith("encoder.0.weight"):  # the others see neither velocity nor force
            assert torch.equal(tensor, kept[name])
    for level in (0, 1):
        name = f"levels.{level}.encoder.0.weight"
        old, new = channels(before, level), channels(after, level)
        assert own[name].shape[1] == max(part.stop for part in new.values())
        for part, where in new.items():
            if part in old:
                assert torch.equal(own[name][:, where], kept[name][:, old[part]])
            else:
                assert torch.count_nonzero(own[name][:, where]) == 0


@pytest.mark.parametrize("after", [{"passes": 2}, {"passes": 2, "force_window": 3}])
def test_a_network_that_sees_more_sets_out_as_the_one_that_sees_less(tmp_path, after):
    spec = tiny_spec("elas-g", ndim=2)
    older = install(lively(spec), tmp_path / "older")
    more = cast(Any, build(replace(spec, options=replace(spec.options, **after))))
    assert take_over(more, str(older.folder))[1] == set()
    less = load_model(older.folder)[0]
    pair = [torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(n)) for n in (0, 1)]
    values = torch.tensor([[0.1, 0.3]])
    shown = more.encode(*pair).first[0]
    theta = more.generate(values)
    found, expected = more._look(shown, theta), less.decode(less.encode(*pair), values)
    torch.testing.assert_close(more.whole(found, more.encode(*pair)), expected)


def test_what_begins_anew_is_told_and_not_frozen(tmp_path, caplog):
    spec = config().model
    older = install(
        lively(replace(spec, options=replace(cast(Any, spec.options), rank=3))), tmp_path / "o"
    )
    settings = config(steps=1, every=1, start_from=str(older.folder))
    run(settings, tmp_path / "run")
    assert "do not fit and begin anew: features.layers" in caplog.text
    frozen = config(steps=1, every=1, start_from=str(older.folder), tuned=("flow.*",))
    with pytest.raises(InputError, match="which start_from does not have and tuned leaves"):
        run(frozen, tmp_path / "other")
    with pytest.raises(InputError, match="a regular expression"):
        config(steps=1, every=1, start_from="x", tuned=("flow(",))


def test_a_folder_serves_one_start_at_a_time(tmp_path):
    place = Place(Hardware("cpu").fabric(config(steps=1, every=1)), tmp_path / "run")
    with held(place), pytest.raises(InputError, match="this run is in progress"), held(place):
        pass
    with held(place):  # the first one has let go
        pass


def channels(options: dict[str, Any], level: int) -> dict[str, slice]:
    """Of the first layer of a level of a 2D pyramid, by what it is shown."""
    seen = ["pair", "velocity", "force"]
    if options.get("passes", 1) == 1 and level == 0:
        seen.remove("velocity")
    if "force_window" not in options:
        seen.remove("force")
    return {part: slice(2 * n, 2 * n + 2) for n, part in enumerate(seen)}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (tiny_spec(ndim=3), "whose ndim is 3"),
        (tiny_spec("CIR-DM", ndim=2), "whose backbone is lapirn"),
    ],
)
def test_a_training_sets_out_from_a_model_of_its_own_kind(tmp_path, other, told):
    older = install(lively(other), tmp_path / "older")
    with pytest.raises(InputError, match=told):
        run(config(steps=1, every=1, start_from=str(older.folder)), tmp_path / "run")


def test_a_run_whose_scores_are_gone_is_one_line(tmp_path):
    settings = config(steps=1, every=1)
    state = run(settings, tmp_path)
    (tmp_path / "validation.csv").unlink()
    with pytest.raises(InputError, match=r"no validation\.csv"):
        export(settings, Discs(), state, tmp_path)


def test_the_revision_is_that_of_our_own_repository(monkeypatch):
    asked: list[tuple[str, ...]] = []

    def git(*words: str) -> str:
        asked.append(words)
        if words[0] == "ls-files":
            raise subprocess.CalledProcessError(1, "git")  # ours is not in that repository
        return "0123456789ab"

    monkeypatch.setattr("training.journal._git", git)
    assert revision() == "unknown" and asked[0][0] == "ls-files"


@pytest.mark.parametrize(("labels", "expected"), [(0.0, "images"), (1.0, "images and labels")])
def test_the_card_tells_what_taught_the_weights(tmp_path, labels, expected):
    settings = config(steps=1, every=1, labels=labels)
    card = export(settings, Discs(), run(settings, tmp_path), tmp_path)
    assert card.training.supervision == expected
    assert card.training.start_from is None


def test_a_checkpoint_of_another_network_is_one_line(tmp_path):
    settings = config(steps=2, every=2)
    run(settings, tmp_path)
    assert isinstance(settings.model.options, HyperMorphOptions)
    options = replace(settings.model.options, rank=3)  # as if the code had changed, not the file
    changed = replace(settings, model=replace(settings.model, options=options))
    with pytest.raises(InputError, match="a checkpoint of another network") as caught:
        run(changed, tmp_path)
    assert "\n" not in str(caught.value)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_logs_are_whole_at_every_moment_of_going_on(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    for step in (10, 20, 30):
        journal.step(step, {"loss": 1 / step})
    with (tmp_path / STEPS).open("a") as file:
        file.write("4")  # a row that a kill cut short
    before = (tmp_path / STEPS).read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            Journal(tmp_path).go_on(20)
    assert (tmp_path / STEPS).read_text() == before
    (tmp_path / f".{STEPS}.part").write_text("left over")
    Journal(tmp_path).go_on(20)
    assert [row["step"] for row in rows(tmp_path / STEPS)] == ["10", "20"]
    assert [file.name for file in tmp_path.iterdir()] == [STEPS]


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    save(tmp_path, {"step": 1})
    before = (tmp_path / FILE).read_bytes()

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        save(tmp_path, {"step": 2})
    assert (tmp_path / FILE).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
