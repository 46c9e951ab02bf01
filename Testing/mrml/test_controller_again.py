"""What is shown, measured and written is that of the settings in the table."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.mrml import (
    Failed,
    LiveController,
    Measured,
    Updated,
    Written,
    new_pair_node,
)
from Testing.mrml.fake_session import FakeSession
from Testing.mrml.live_pair import OPTIONS, ready, until
from Testing.mrml.test_settings import table


def test_a_full_result_is_made_anew_for_other_settings(scene, nodes, monkeypatch):
    controller = ready(scene, nodes)
    asked: list[dict[str, Elasticity]] = []
    monkeypatch.setattr(FakeSession.made[-1], "register", lambda values, *_: asked.append(values))
    for mu in (0.5, 0.5, 0.6):
        controller.set_elasticity("body", mu=mu)
        controller._register(lambda result: result, lambda result: [Written({})])
        until(controller, Written)
    assert [values["body"].mu for values in asked] == [0.5, 0.6]


def test_what_is_shown_during_a_measure_is_measured_after_it(scene, nodes):
    controller = ready(scene, nodes)
    measured, go = [], threading.Event()

    def slow(answer):
        measured.append(answer.number)
        go.wait(5)
        return answer.number

    controller._measure = slow
    controller.measure()
    first = controller.shown.number
    controller.set_elasticity("body", mu=0.5)
    until(controller, Updated)
    controller.measure()
    go.set()
    until(controller, Measured)
    while controller.busy:
        controller.poll()
        time.sleep(0.002)
    assert controller.quality == controller.shown.number
    assert measured == [first, controller.shown.number]


def test_after_a_kept_setting_the_one_before_is_asked_for_again(scene, nodes):
    controller = ready(scene, nodes)
    controller.keep("A")
    controller.live = False
    for _ in range(2):
        controller.set_elasticity("body", 0.5, 0.25)
        controller.settle()
        event, _ = until(controller, Updated)
        assert event.stage == "refined"
        controller.switch_to("A")
        assert until(controller, Updated)[0].stage == "kept"


def test_a_lock_keeps_the_ratio_of_two_values_given_at_once():
    settings = table()
    settings.lock_ratio("lung", True)
    settings.move("lung", 0.3, 0.1)
    assert settings.move("lung", mu=0.2) == Elasticity(0.6, 0.2)


def test_a_lock_keeps_the_ratio_that_was_set_or_taken_back():
    settings = table()
    settings.lock_ratio("lung", True)
    settings.replace({"lung": Elasticity(0.3, 0.1)})
    assert settings.move("lung", mu=0.2) == Elasticity(0.6, 0.2)
    settings.undo()
    settings.undo()
    assert settings.move("lung", lam=0.1) == Elasticity(0.1, 0.2)


def test_a_lock_at_zero_moves_nothing_and_breaks_nothing():
    settings = table()
    settings.move("lung", 0.0, 0.2)
    settings.lock_ratio("lung", True)
    assert settings.move("lung", lam=0.3) == Elasticity(0.0, 0.2)
    settings.move("lung", 0.0, 0.0)
    assert settings.rows[1].most("lam") == 1.0


def test_a_session_that_comes_after_the_end_of_its_pair_is_closed(scene, nodes):
    go, made = threading.Event(), []

    class Slow(FakeSession):
        def __init__(self, *given) -> None:
            go.wait(5)
            super().__init__(*given)
            made.append(self)

    controller = LiveController(scene, *nodes, options=replace(OPTIONS, open_session=Slow))
    controller.start()
    controller.close()
    go.set()
    while not controller.ended:
        time.sleep(0.002)
    assert made[0].closed.is_set()


def test_a_fault_that_comes_too_late_is_dropped(scene, nodes):
    controller = ready(scene, nodes)
    controller.keep("A")
    FakeSession.made[-1].hold = True
    controller.set_elasticity("body", 0.5, 0.25)
    answers = controller._answers
    turn = answers._turn
    controller.switch_to("A")
    answers._fault(turn, ValueError("too late"))
    assert [type(event) for event in controller.poll()] == [Updated]


def test_a_setting_that_failed_is_asked_for_again(scene, nodes):
    controller = ready(scene, nodes)
    session, controller.live = FakeSession.made[-1], False
    session.hold = True
    controller.set_elasticity("body", 0.5, 0.25)
    controller.settle()
    asked = len(session.submitted)
    controller._answers._fault(controller._answers._turn, ValueError("oops"))
    until(controller, Failed)
    controller.settle()
    assert len(session.submitted) == asked + 1


def test_masks_and_landmarks_reach_the_session(scene, nodes):
    masks = {"fixed_mask_node": nodes[2], "moving_mask_node": nodes[3]}
    controller = ready(scene, nodes, replace(OPTIONS, similarity="ncc", **masks))
    given = FakeSession.made[-1].inputs
    assert given.fixed_mask is not None
    assert given.moving_mask is not None
    assert given.similarity == "ncc"
    place = new_pair_node(scene)
    controller.store(place)
    assert LiveController.from_state(scene, place).options.similarity == "ncc"
