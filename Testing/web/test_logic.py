"""What the page's parts do to its state, without a browser and without a session."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("trame_slicer", reason="the extra app is not installed")

from trame_server.state import State

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.estimation.surface import Surface
from ElasticHyperRegLib.mrml import Exported, Measured, Quality, Ready, Status, Updated
from ElasticHyperRegLib.mrml.quality import TissueQuality
from ElasticHyperRegLib.types import Elasticity, Grid, Image
from web.inputs import Given, Inputs
from web.logic import quality
from web.logic.compare import CompareLogic
from web.logic.estimate import drawn
from web.logic.live import Live
from web.logic.opening import OpeningLogic
from web.logic.tissues import TissueLogic
from web.options import PageOptions, Start
from web.state import DEFAULTS, OF_A_PAIR


@pytest.fixture
def state() -> Any:
    """The page's state before a pair is open."""
    made = State()
    made.update(DEFAULTS)
    return made


class Controller:
    """What ``Live`` and its parts ask of a controller."""

    def __init__(self) -> None:
        self.live, self.started, self.closed = True, False, False
        self.tissues: list[Any] = []

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a thread: the browser of other tests has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, scenario()).result()


def opening(state: State, tmp_path: Any) -> tuple[OpeningLogic, Live, list[Any]]:
    """The dialog with two scans given, and what it was told to open."""
    live = Live(state)
    opened: list[Any] = []
    inputs = Inputs(PageOptions(data=tmp_path))
    scan = Image(torch.zeros(1, 1, 4, 4, 4), Grid.from_spacing((4, 4, 4), (1.0, 1.0, 1.0)))
    inputs.given = {"fixed": Given("a", scan), "moving": Given("b", scan)}
    views: Any = None
    logic = OpeningLogic(state, live, views, inputs, PageOptions(data=tmp_path, device="cpu"))
    logic.open = opened.append  # type: ignore[method-assign, assignment]
    return logic, live, opened


def test_a_pair_does_not_start_before_every_file_is_here(state, tmp_path):
    logic, _, opened = opening(state, tmp_path)
    logic.uploading("fixed_labels")
    logic.uploading("moving_labels")
    logic.uploaded("fixed_labels", "")
    logic.start()
    assert state.uploading == ["moving_labels"] and opened == []
    assert "still on their way" in state.message
    logic.uploaded("moving_labels", "")

    async def scenario() -> None:
        state.open_dialog = True
        logic.start()
        assert not state.open_dialog and state.status == "Opening the scans …"
        assert opened == [], "the page is told first"
        while not opened:
            await asyncio.sleep(0.01)

    run(scenario)
    assert state.uploading == [] and len(opened) == 1


def test_a_pair_that_cannot_be_opened_brings_the_dialog_back(state, tmp_path):
    logic, _, _ = opening(state, tmp_path)
    del logic.open
    logic._views = SimpleNamespace(nodes=[], remove=lambda nodes: None, scene=None)  # type: ignore[assignment]
    state.update({"open_dialog": False, "status": "Opening the scans …"})
    logic.open(replace(logic._chosen(), scheme="no scheme"))
    assert state.open_dialog and state.message_bad and "no scheme" in state.message
    assert state.status == DEFAULTS["status"]


@pytest.mark.parametrize("what", ["scheme", "model", "initial_alignment", "similarity"])
def test_nothing_is_opened_that_no_menu_offers(state, tmp_path, what):
    logic, _, opened = opening(state, tmp_path)
    state[what] = str(tmp_path / "of_another_user.toml")
    logic.start()
    assert opened == [] and "one of the menu" in state.message


def test_what_the_server_was_started_with_is_offered(state, tmp_path):
    logic, _, _ = opening(state, tmp_path)
    logic._start = Start(str(tmp_path / "mine.toml"), model="my-model")
    mine = {"scheme": str(tmp_path / "mine.toml"), "model": "my-model", "similarity": "mind"}
    state.update(mine)
    chosen = logic._chosen()
    assert (chosen.model, chosen.similarity) == ("my-model", "mind")


@pytest.mark.parametrize("late", [False, True])
def test_a_phantom_that_is_ready_late_replaces_nothing(state, tmp_path, late):
    logic, _, opened = opening(state, tmp_path)

    async def scenario() -> None:
        demo: Future[Any] = Future()
        waiting = asyncio.ensure_future(logic.open_demo(demo))
        await asyncio.sleep(0)
        logic._opened += late
        demo.set_result("the phantom")
        await waiting

    run(scenario)
    assert opened == ([] if late else ["the phantom"])


def test_a_phantom_that_cannot_be_made_brings_the_dialog_back(state, tmp_path):
    logic, _, _ = opening(state, tmp_path)
    demo: Future[Any] = Future()
    demo.set_exception(MemoryError("no memory"))
    run(lambda: logic.open_demo(demo))
    assert state.open_dialog and state.message_bad and "no memory" in state.message


@pytest.mark.parametrize("name", [None, ""])
def test_a_field_that_was_emptied_asks_for_nothing(state, tmp_path, name):
    logic, _, _ = opening(state, tmp_path)
    run(lambda: logic.take_from_folder("fixed", name))
    assert state.uploading == [] and not state.problems.get("fixed")


def test_labels_of_the_scan_before_are_taken_back_and_that_is_told(state, tmp_path):
    logic, _, _ = opening(state, tmp_path)
    given = logic._inputs.given
    given["fixed_labels"] = Given("old labels", given["fixed"].content)
    state.given = {role: one.name for role, one in given.items()}
    logic._inputs.given = {role: one for role, one in given.items() if role != "fixed_labels"}
    logic.uploaded("fixed", "")
    assert "fixed_labels" not in state.given
    assert "taken back" in state.problems["fixed_labels"] and state.problems["fixed"] == ""


def test_a_second_file_for_one_role_is_waited_for_too(state, tmp_path):
    logic, _, _ = opening(state, tmp_path)
    logic.uploading("fixed")
    logic.uploading("fixed")
    logic.uploaded("fixed", "")
    assert state.uploading == ["fixed"]
    logic.uploaded("fixed", "")
    logic.uploaded("fixed", "a problem that is told twice")
    assert state.uploading == []


@pytest.mark.parametrize("fault", [None, InputError("no scan"), RuntimeError("a bug")])
def test_a_file_of_the_server_is_on_its_way_until_it_is_read(state, tmp_path, monkeypatch, fault):
    logic, _, _ = opening(state, tmp_path)
    (tmp_path / "a.nii.gz").touch()
    seen = []

    def take(role: str, *_: Any) -> None:
        seen.append(list(state.uploading))
        if fault is not None:
            raise fault

    async def scenario() -> None:
        monkeypatch.setattr(logic._inputs, "take", take)
        await logic.take_from_folder("fixed_labels", "a.nii.gz")

    run(scenario)
    assert seen == [["fixed_labels"]] and state.uploading == []
    assert bool(state.problems["fixed_labels"]) == (fault is not None)


def test_nothing_of_a_pair_stays_under_the_title_of_the_next(state):
    live, first, second = Live(state), Controller(), Controller()
    live.replace(first)  # type: ignore[arg-type]
    state.update({name: f"of the first pair: {name}" for name in OF_A_PAIR})
    live.replace(second)  # type: ignore[arg-type]
    assert first.closed and second.started
    assert {name: state[name] for name in OF_A_PAIR} == OF_A_PAIR


def test_a_warning_stays_among_the_notes_and_covers_no_fault(state):
    live = Live(state)
    live._tell(Ready("none", "cuda", (), ("the first note",)))
    assert state.model_line == "exact solver on cuda"
    live._tell(Status("runs on cpu instead of cuda: no memory", True))
    assert state.message.startswith("runs on cpu")
    live.say("the disk is full", bad=True)
    live._tell(Status("a deleted overlay was made anew", True))
    live._tell(Status("only in the bar"))
    assert (state.message, state.message_bad) == ("the disk is full", True)
    assert [note.split()[0] for note in state.notes] == ["the", "runs", "a"]
    live._tell(Updated(1, "refined", True, 0.1, {"device": "cpu"}))
    assert state.model_line == "exact solver on cpu"


def test_what_belongs_to_a_pair_is_part_of_the_state():
    assert DEFAULTS.items() >= OF_A_PAIR.items()
    assert {"estimate", "surface", "kept", "quality", "busy", "sensitivity_known"} <= set(OF_A_PAIR)


def test_the_box_live_holds_for_this_pair_and_the_next(state):
    live = Live(state)
    logic = TissueLogic(state, live)
    for live.controller in (Controller(), Controller()):  # type: ignore[assignment]
        state.live = False
        logic._begin(Ready("none", "cpu", ()))
        assert live.controller is not None and live.controller.live is False
    state.live = True
    logic._set_live()
    assert live.controller is not None and live.controller.live is True


def test_the_page_is_heard_while_a_result_is_packed(state, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    live, may_end, packs = Live(state), threading.Event(), quality.packed

    def slowly(folder: Any) -> Any:
        assert may_end.wait(10)
        return packs(folder)

    monkeypatch.setattr(quality, "packed", slowly)
    live.controller = SimpleNamespace(export=lambda folder: folder.mkdir())  # type: ignore[assignment]
    state.update({"pair_ready": True, "pair_title": "b.nii.gz onto a.nii.gz"})
    logic = quality.QualityLogic(state, live)

    async def scenario() -> None:
        logic.export()
        folder = logic._place / "result-1"
        (folder / "metrics.json").write_text("{}")
        live._tell(Exported(folder, {}))
        await asyncio.sleep(0.05)  # the loop goes on
        assert state.download is None
        may_end.set()
        while state.download is None:
            await asyncio.sleep(0.01)

    run(scenario)
    assert logic.archive is not None and logic.archive.is_file()
    assert state.download == {"number": 1, "name": "b.nii.gz-onto-a.nii.gz-result.zip"}
    assert state.status.endswith("result.zip is ready")
    assert [path.name for path in logic._place.iterdir()] == ["result-1.zip"]


def test_a_result_of_the_pair_before_is_not_handed_out(state, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    live = Live(state)
    live.controller = SimpleNamespace(export=lambda folder: folder.mkdir())  # type: ignore[assignment]
    state.update({"pair_ready": True, "pair_title": "the first"})
    logic = quality.QualityLogic(state, live)
    logic.export()

    async def scenario() -> None:
        waiting = asyncio.ensure_future(logic._offer(logic._place / "result-1", 1, "a.zip"))
        await asyncio.sleep(0)
        live.controller = None
        await waiting

    run(scenario)
    assert state.download is None and logic.archive is None
    assert list(logic._place.iterdir()) == []


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("b.nii.gz onto a.nii.gz", "b.nii.gz-onto-a.nii.gz-result.zip"),
        ("../.. onto /", "onto-result.zip"),
        ("", "elastic-hyperreg-result.zip"),
    ],
)
def test_an_archive_is_called_after_its_pair(title, name):
    assert quality.archive_name(title) == name


def test_a_kept_setting_is_shown_in_the_table_before_it_is_answered(state):
    live, shown = Live(state), []
    kept = SimpleNamespace(kept=[], shown_kept="A", switch_to=lambda name: shown.append(name))
    live.controller = kept  # type: ignore[assignment]
    state.pair_ready = True
    CompareLogic(state, live, lambda: shown.append("the table")).switch_to("A")
    assert shown == ["A", "the table"]


def test_figures_of_another_answer_than_the_one_shown_are_stale(state):
    live = Live(state)
    quality.QualityLogic(state, live)
    state.answer = {"number": 8}
    live._tell(Measured(Quality(7, (), 0.0, {}, {})))
    assert state.quality["stale"]
    live._tell(Measured(Quality(8, (), 0.0, {}, {})))
    assert not state.quality["stale"]


def test_what_holds_a_tissue_is_told_where_it_can_be():
    thick = TissueQuality("left_lung", (0.7, 0.9), None, 0.1, 0.0, 0.05, 1.0, 0.00123, 0.617)
    thin = TissueQuality("rib", None, None, 0.1, 0.0, 0.05, 1.0, None, None)
    first, second = quality.shown(Quality(3, (thick, thin), 0.0, {}, {}))["rows"]
    assert (first["name"], first["pull"]) == ("left lung", "0.62")
    assert first["titles"]["pull"] == "mean |div σ|: 0.0012, in the unit of μ per mm"
    assert (second["pull"], second["titles"]["pull"]) == ("", "")


def test_the_heat_map_has_colours_marks_and_the_settings_tried():
    settings = (Elasticity(0, 0), Elasticity(0, 1), Elasticity(1, 0))
    surface = Surface("lung", "held", settings, (0.1, 0.4, 0.25), settings[1], 0.01)
    found = drawn(surface)
    assert (found["low"], found["high"], found["mu"]) == ("0.100", "0.400", 1)
    assert len(found["tried"]) == 3
    assert found["cells"][0]["color"].startswith("rgb(")
    assert found["ramp"].startswith("linear-gradient(90deg, rgb(68, 1, 84), ")
