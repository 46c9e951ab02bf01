"""The controller over a made-up session: what it does to the scene."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.mrml import (
    ControllerOptions,
    Estimated,
    Failed,
    LiveController,
    Measured,
    Ready,
    Sensed,
    Status,
    Surfaced,
    Unsensed,
    Updated,
    new_pair_node,
)
from Testing.mrml.fake_session import FakeSession
from Testing.mrml.live_pair import OPTIONS, ready, shown_at, until


def test_preparing_tells_the_model_and_what_fell_back(scene, nodes):
    controller = LiveController(scene, *nodes, options=OPTIONS)
    assert controller.busy == set() and controller.display is None
    controller.start()
    assert controller.busy == {"prepare"}
    event, before = until(controller, Ready)
    assert event.notes == ("no GPU was found",)
    assert event.tissues == ("background", "body", "organ")
    assert Status("no GPU was found", True) in [*before, *controller.poll()]


def test_what_falls_back_later_is_told_once(scene, nodes):
    controller = ready(scene, nodes)
    FakeSession.made[-1].notes = ("register ran on the way", *FakeSession.made[-1].notes)
    told = controller.poll()
    assert [event.text for event in told] == ["register ran on the way"]
    FakeSession.made[-1].notes += ("register ran on cpu, as cuda could not: out of memory",)
    told = [event for event in controller.poll() if isinstance(event, Status)]
    assert [event.text for event in told] == [FakeSession.made[-1].notes[-1]]
    assert not [event for event in controller.poll() if isinstance(event, Status)]


def test_the_table_follows_the_segmentation(scene, nodes):
    rows = LiveController(scene, *nodes, options=OPTIONS).tissues
    assert [row.name for row in rows] == ["body", "organ", "background"]
    assert rows[0].color == (9, 8, 7)
    assert all(row.present for row in rows)
    assert max(row.young for row in rows) == 1


def test_without_labels_there_is_one_row(scene, nodes):
    controller = ready(scene, nodes[:2])
    assert [row.name for row in controller.tissues] == ["everywhere"]
    controller.set_elasticity("everywhere", 0.2, 0.3)
    assert FakeSession.made[-1].submitted[-1] == {"everywhere": Elasticity(0.2, 0.3)}


def test_a_move_reaches_the_transform(scene, nodes):
    controller = ready(scene, nodes)
    controller.set_elasticity("body", 0.25, 0.5)
    event, _ = until(controller, Updated)
    assert event.final and event.stage == "refined"
    assert np.allclose(shown_at(controller, (-1, 77, 143)), (-0.75, 77.5, 143), atol=1e-5)


def test_a_storm_of_moves_adds_no_node(scene, nodes):
    controller = ready(scene, nodes)
    controller.display.show("checkerboard")
    controller.display.set_jacobian(True)
    before = scene.GetNumberOfNodes()
    grid = controller.display.transform_node.GetTransformFromParent().GetDisplacementGrid()
    for step in range(60):
        controller.set_elasticity("organ", 0.005 * step, 0.5)
        controller.poll()
    assert scene.GetNumberOfNodes() == before
    assert controller.display.transform_node.GetTransformFromParent().GetDisplacementGrid() is grid


def test_a_slider_in_motion_is_answered_and_never_queues(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    session.hold = True
    asked = len(session.submitted)
    for lam in (0.1, 0.2, 0.3, 0.4):
        controller.set_elasticity("body", lam, 0.1)
    assert len(session.submitted) == asked + 1 and controller.busy == {"update"}
    session.held.pop()()
    controller.poll()
    assert controller.shown.elasticity["body"].lam == 0.1
    assert [s["body"].lam for s in session.submitted[asked:]] == [0.1, 0.4]
    session.held.pop()()
    until(controller, Updated)
    assert controller.shown.elasticity["body"].lam == 0.4 and controller.busy == set()


def test_an_answer_that_comes_too_late_is_dropped(scene, nodes):
    controller = ready(scene, nodes)
    controller.keep("A")
    kept = controller.shown
    session = FakeSession.made[-1]
    session.hold = True
    controller.set_elasticity("body", 0.5, 0.1)
    controller.switch_to("A")
    session.held.pop()()  # from a thread that had begun to deliver
    controller.poll()
    assert controller.shown.displacement is kept.displacement and controller.busy == set()


def test_undo_takes_a_whole_drag_back(scene, nodes):
    controller = ready(scene, nodes)
    start = controller.tissues
    for lam in (0.1, 0.2, 0.3):
        controller.set_elasticity("body", lam, 0.3)
    controller.settle()
    controller.set_elasticity("organ", 0.4, 0.4)
    assert controller.undo() and controller.undo()
    assert controller.tissues == start
    assert not controller.undo() and not controller.can_undo
    assert controller.redo()
    controller.poll()
    assert FakeSession.made[-1].submitted[-1]["body"] == Elasticity(0.3, 0.3)


def test_where_not_live_only_letting_go_asks(scene, nodes):
    controller = ready(scene, nodes)
    controller.live = False
    asked = len(FakeSession.made[-1].submitted)
    controller.set_elasticity("body", 0.1, 0.7)
    assert len(FakeSession.made[-1].submitted) == asked
    controller.settle()
    assert len(FakeSession.made[-1].submitted) == asked + 1
    controller.settle()  # a key that is let go on a slider moves nothing
    assert len(FakeSession.made[-1].submitted) == asked + 1


def test_presets_and_reset(scene, nodes):
    controller = ready(scene, nodes)
    start = controller.tissues
    controller.set_preset("body", "lung-brock")
    assert controller.tissues[0].lam != start[0].lam
    controller.reset()
    assert controller.tissues == start
    with pytest.raises(InputError, match="the preset 'jelly'"):
        controller.set_preset("body", "jelly")


def test_estimate_sets_what_it_found(scene, nodes):
    controller = ready(scene, nodes)
    controller.estimate()
    session = FakeSession.made[-1]
    assert controller.busy >= {"estimate"}
    with pytest.raises(InputError, match="'estimate' twice"):
        controller.estimate()
    surfaced, _ = until(controller, Surfaced)
    assert surfaced.surface == "the first surface"
    session.gate.set()
    until(controller, Estimated)
    assert session.started_from["body"] == Elasticity(0.05, 0.15)
    values = {row.name: (row.lam, row.mu) for row in controller.tissues}
    assert values == {"body": (0.3, 0.3), "organ": (0.2, 0.6), "background": (0.3, 0.3)}
    assert controller.estimate_found.warnings == ("the surface is flat",)
    assert controller.undo() and controller.tissues[1].lam == 0.05


def test_cancel_is_confirmed_and_the_pair_goes_on(scene, nodes):
    controller = ready(scene, nodes)
    controller.estimate()
    controller.cancel()
    failed, _ = until(controller, Failed)
    assert failed == Failed("estimate", "estimate was cancelled", cancelled=True)
    controller.set_elasticity("body", 0.1, 0.2)
    until(controller, Updated)


def test_a_fault_of_ours_is_told_and_logged(scene, nodes, tmp_path, caplog):
    controller = ready(scene, nodes)
    FakeSession.made[-1].gate.set()
    controller.export(tmp_path / "out")
    failed, _ = until(controller, Failed)
    assert failed.what == "register" and "this session cannot register" in failed.message
    assert "Traceback" in caplog.text
    assert not (tmp_path / "out").exists()


def test_the_quality_table(scene, nodes):
    controller = ready(scene, nodes)
    controller.measure()
    quality = until(controller, Measured)[0].quality
    assert [row.name for row in quality.tissues] == ["body", "organ"]
    assert all(0 < row.dice[0] < 1 and row.hd95_mm[0] > 0 for row in quality.tissues)
    assert quality.tissues[0].volume_change == pytest.approx(0, abs=1e-5)
    assert [row.strain for row in quality.tissues] == pytest.approx([0, 0], abs=1e-5)
    assert quality.folds_fraction == 0
    assert quality.inverse_consistency_mm["max"] < 1e-2
    assert quality.tre_mm == {}


def test_the_table_is_measured_whenever_a_slider_rests(scene, nodes):
    options = ControllerOptions(open_session=FakeSession)
    controller = ready(scene, nodes, options)
    number = controller.shown.number
    assert until(controller, Measured)[0].quality.number == number
    controller.set_elasticity("body", 0.6, 0.1)
    controller.poll()
    assert until(controller, Measured)[0].quality.number == number + 1


class Deaf(FakeSession):
    """Obeys one setting for everywhere, whatever the labels show."""

    def __init__(self, *given) -> None:
        super().__init__(*given)
        self.tissues = ()


def test_what_obeys_no_tissues_has_one_row_that_it_obeys(scene, nodes):
    controller = ready(scene, nodes, replace(OPTIONS, open_session=Deaf))
    assert [row.name for row in controller.tissues] == ["everywhere"]
    session = FakeSession.made[-1]
    controller.set_elasticity("everywhere", 0.1, 0.6)
    until(controller, Updated)
    assert session.submitted[-1] == {"everywhere": Elasticity(0.1, 0.6)}
    session.gate.set()
    controller.estimate()
    until(controller, Estimated)
    assert controller.tissues[0].mu == 0.3, "what the estimate found for everywhere"
    assert session.submitted[-1] == {"everywhere": Elasticity(0.3, 0.3)}
    place = new_pair_node(scene)
    controller.store(place)
    again = LiveController.from_state(scene, place, Deaf)
    again.start()
    until(again, Updated)
    assert FakeSession.made[-1].submitted == [{"everywhere": Elasticity(0.3, 0.3)}]


def test_sensitivity_is_overlaid(scene, nodes):
    controller = ready(scene, nodes)
    controller.sensitivity()
    until(controller, Sensed)
    assert set(controller.display.spread_nodes) == {"displacement", "volume"}
    assert FakeSession.made[-1].compared["body"] == controller._values()["body"]


def test_a_sensitivity_leaves_the_volume_change_where_it_was_switched_on(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    session.hold_sensitivity = True
    controller.sensitivity()
    controller.display.set_jacobian(True)
    session.gate.set()
    until(controller, Sensed)
    assert controller.display.state.jacobian
    assert set(controller.display.spread_nodes) == {"displacement", "volume"}


def test_the_sensitivity_of_a_kept_setting_is_that_setting_s_own(scene, nodes):
    controller = ready(scene, nodes)
    controller.keep("A")
    start = controller.tissues[0]
    controller.set_elasticity("body", 0.5, 0.25)
    until(controller, Updated)
    controller.switch_to("A")
    until(controller, Updated)
    controller.sensitivity()
    until(controller, Sensed)
    assert FakeSession.made[-1].compared["body"] == Elasticity(start.lam, start.mu)


@pytest.mark.parametrize("spread", ["displacement", "volume"])
def test_a_sensitivity_goes_with_the_setting_that_it_belongs_to(scene, nodes, spread):
    overlay = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode").GetLabelVolumeID
    controller = ready(scene, nodes)
    controller.sensitivity()
    until(controller, Sensed)
    controller.display.set_sensitivity(None, spread)
    controller.measure()
    _, before = until(controller, Measured)
    assert not [event for event in before if isinstance(event, Unsensed)]
    assert overlay() is not None
    controller.set_elasticity("body", 0.4, 0.1)
    until(controller, Unsensed)
    assert overlay() is None
    controller.undo()
    _, after = until(controller, Updated)
    assert not [event for event in after if isinstance(event, Unsensed)], "told once"


def test_a_sensitivity_that_comes_too_late_is_refused_and_said(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    session.hold_sensitivity = True
    controller.sensitivity()
    controller.set_elasticity("body", 0.4, 0.1)
    session.gate.set()
    failed, _ = until(controller, Failed)
    assert failed.what == "sensitivity" and "compute the sensitivity again" in failed.message
    assert controller.display.spread_nodes == {}


def test_after_an_estimate_what_is_as_good_is_compared(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    session.gate.set()
    controller.estimate()
    until(controller, Estimated)
    controller.sensitivity()
    until(controller, Sensed)
    assert session.compared == ["as good", "as good too"]
    controller.set_elasticity("body", 0.1, 0.1)
    controller.sensitivity()
    until(controller, Sensed)
    assert session.compared["body"] == Elasticity(0.1, 0.1)


def test_what_can_be_estimated_hangs_on_what_was_given(scene, nodes):
    fixed, moving, labels = nodes[:3]
    for given, model, objectives in (
        (nodes, "auto", ("dice", "soft-dice", "similarity", "folds")),
        ((fixed, moving, labels), "none", ("similarity", "folds")),
    ):
        controller = LiveController(scene, *given, options=replace(OPTIONS, model=model))
        controller.start()
        event, _ = until(controller, Ready)
        assert event.objectives == objectives
        controller.close()


def test_flicker_swaps_twice_a_second(scene, nodes, monkeypatch):
    controller = ready(scene, nodes)
    swaps: list[float] = []
    monkeypatch.setattr(controller.display, "flick", lambda: swaps.append(time.monotonic()))
    controller._flicked_at = 0.0
    controller.poll()
    controller.poll()
    assert len(swaps) == 1
    controller.flickers, controller._flicked_at = False, 0.0
    controller.poll()
    assert len(swaps) == 1, "nothing while the shell is out of sight"
    controller.flickers, controller._flicked_at = True, swaps[0]
    end = time.monotonic() + 5
    while len(swaps) < 2 and time.monotonic() < end:
        controller.poll()
    assert swaps[1] - swaps[0] > 0.45


def test_before_it_is_ready_work_is_refused(scene, nodes):
    controller = LiveController(scene, *nodes, options=OPTIONS)
    for act in (controller.estimate, controller.measure, controller.write_outputs):
        with pytest.raises(InputError):
            act()
    with pytest.raises(InputError, match="nothing is shown yet"):
        controller.keep("A")
    controller.set_elasticity("body", 0.1, 0.2)  # sliders move already
    controller.start()
    until(controller, Ready)
    assert FakeSession.made[-1].submitted[0]["body"] == Elasticity(0.1, 0.2)


def test_the_heartbeat_is_never_blocked(scene, nodes):
    controller = ready(scene, nodes)
    controller.estimate()
    late = 0.0
    for step in range(50):
        begin = time.perf_counter()
        controller.set_elasticity("body", 0.01 * step, 0.3)
        controller.poll()
        late = max(late, time.perf_counter() - begin)
    controller.close()
    assert late < 0.1


def test_the_jacobian_is_shown_in_place(scene, nodes):
    controller = ready(scene, nodes)
    image = controller.display.jacobian_node.GetImageData()
    controller.display.update(
        controller.shown.displacement, torch.full_like(controller.shown.jacobian, 0.5)
    )
    assert controller.display.jacobian_node.GetImageData() is image
    assert image.GetScalarComponentAsDouble(1, 1, 1, 0) == 0.5
