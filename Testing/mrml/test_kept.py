"""Settings that are kept to be compared, and their answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.mrml import Updated, free_name
from ElasticHyperRegLib.mrml.compare import MOST_ANSWERS
from Testing.mrml.fake_session import FakeSession
from Testing.mrml.live_pair import ready, shown_at, until


def test_kept_settings_come_back_at_once(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    controller.set_elasticity("body", 0.5, 0.25)
    until(controller, Updated)
    kept = controller.keep("A")
    assert kept.elasticity["body"] == Elasticity(0.5, 0.25) and kept.metrics
    controller.set_elasticity("body", 0.0, 0.0)
    until(controller, Updated)
    asked = len(session.submitted)
    controller.switch_to("A")
    event, _ = until(controller, Updated)
    assert event.stage == "kept" and len(session.submitted) == asked
    assert np.allclose(shown_at(controller, (0, 80, 140)), (0.5, 80.25, 140), atol=1e-5)
    assert controller.tissues[0].lam == 0.5
    controller.forget("A")
    with pytest.raises(InputError, match="the kept setting 'A'"):
        controller.switch_to("A")


def test_what_is_kept_while_it_is_refined_becomes_its_final_answer(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    session.hold = True
    controller.set_elasticity("body", 0.5, 0.25)
    rough = session.answer(2, session.submitted[-1], False)
    controller._show(replace(rough, metrics={"rough": True}), "preview")
    kept = controller.keep("A")
    assert kept.answer is None and kept.metrics == {"rough": True}
    session.held.pop()()
    event, _ = until(controller, Updated)
    assert event.final
    (kept,) = controller.kept
    assert kept.answer is controller.shown and kept.answer.final
    assert kept.metrics == controller.shown.metrics


def test_only_the_answers_used_last_are_kept_and_others_are_computed_again(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    for number in range(30):
        controller.set_elasticity("body", number / 100, 0.2)
        until(controller, Updated)
        controller.keep(free_name([kept.name for kept in controller.kept]))
    names = [kept.name for kept in controller.kept]
    assert names[:2] + names[25:28] == ["A", "B", "Z", "AA", "AB"]
    with_answer = [kept.name for kept in controller.kept if kept.answer is not None]
    assert with_answer == names[-MOST_ANSWERS:]
    asked = len(session.submitted)
    controller.switch_to("A")
    assert controller.shown_kept == "A" and len(session.submitted) == asked + 1
    until(controller, Updated)
    controller.switch_to("AD")
    controller.switch_to("A")
    assert len(session.submitted) == asked + 1, "its answer is there again"
    assert sum(kept.answer is not None for kept in controller.kept) == MOST_ANSWERS
    controller.set_elasticity("body", 0.5, 0.2)
    assert controller.shown_kept == ""


def test_an_answer_to_another_setting_is_not_taken_for_a_kept_one(scene, nodes):
    controller = ready(scene, nodes)
    session = FakeSession.made[-1]
    for number in range(MOST_ANSWERS + 1):
        controller.set_elasticity("body", number / 10, 0.1)
        until(controller, Updated)
        controller.keep(free_name([kept.name for kept in controller.kept]))
    session.hold = True
    controller.set_elasticity("body", 0.7, 0.1)
    controller.switch_to("A")
    session.held.pop()()
    controller.poll()
    assert controller.kept[0].answer is None
