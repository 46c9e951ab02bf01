"""A live session as a shell uses it."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, Grid, InputError, RegistrationOptions, register
from ElasticHyperRegLib.engine import Run, align_pair
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import jacobian_determinant, with_initial, world_points
from ElasticHyperRegLib.grid import coarser
from ElasticHyperRegLib.session import Session, SessionInputs
from ElasticHyperRegLib.session.measure import Measure
from ElasticHyperRegLib.session.opening import preview_note
from Testing.unit.live_answers import ALONE, HARD, SOFT, Answers, ask, foresee_all
from Testing.unit.small_pair import small_request

pytestmark = pytest.mark.usefixtures("models")


# What a session is


def test_a_session_tells_what_it_is(session):
    request = small_request()
    assert session.tissues == ("background", "body", "organ")
    assert session.grid.same_as(request.fixed.grid)
    assert session.model_name == "none"
    assert session.device == "cpu"
    assert session.notes == ()
    assert np.allclose(session.initial[:3, :3], np.eye(3))


def test_answers_become_better_until_the_last(session):
    answers = ask(session, {"organ": HARD, "everywhere": SOFT})
    assert [answer.final for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert answers[-1].stage == "refined"
    assert answers[-1].elasticity == {
        "background": Elasticity(*SOFT),
        "body": Elasticity(*SOFT),
        "organ": Elasticity(*HARD),
    }
    seconds = [answer.seconds for answer in answers]
    assert seconds == sorted(seconds)


def test_a_tissue_that_the_live_grid_has_lost_is_not_scored():
    request = small_request(options=ALONE)
    fixed, moving = (
        torch.zeros_like(labels.data) for labels in (request.fixed_labels, request.moving_labels)
    )
    fixed[0, 0, 2, 2, 2], moving[0, 0, 4:16, 4:20, 4:20] = 1, 1
    names = {1: "lesion"}
    lesion = replace(
        request,
        fixed_labels=replace(request.fixed_labels, data=fixed, names=names),
        moving_labels=replace(request.moving_labels, data=moving, names=names),
    )
    pair = align_pair(lesion, torch.device("cpu"), Run())
    grid = coarser(request.fixed.grid, tuple(3 * s for s in request.fixed.grid.spacing))
    measure = Measure(lesion, pair, grid)
    found = measure.evidence(torch.zeros(1, 3, *grid.shape))
    assert set(found) == {"tre_mm"}


def test_landmarks_beside_the_scan_are_measured_without_a_transform_first():
    request = small_request(options=ALONE)
    there = request.fixed_points + np.array([500.0, 0.0, 0.0])
    request = replace(request, fixed_points=there, moving_points=there + np.array([0, 20.0, 0]))
    pair = align_pair(request, torch.device("cpu"), Run())
    shift = np.eye(4)
    shift[1, 3] = 20.0
    measure = Measure(request, replace(pair, initial=shift), request.fixed.grid)
    u_mm, _ = measure.whole(torch.zeros(1, 3, *request.fixed.grid.shape))
    found = measure.evidence(u_mm.u_mm)["tre_mm"]
    assert found["before"] == pytest.approx(20.0)
    assert found["after"] == pytest.approx(0.0, abs=1e-3)


def test_no_memory_for_a_session_is_one_line(session, monkeypatch):
    def full(*given: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="no memory for .*crop"):
        patch.setattr("ElasticHyperRegLib.session.session.align_pair", full)
        Session.from_request(small_request(options=ALONE))
    with monkeypatch.context() as patch, pytest.raises(InputError, match="no memory for .*crop"):
        patch.setattr("ElasticHyperRegLib.session.session.estimate", full)
        session.estimate()


def test_an_answer_holds_the_whole_map_and_its_figures(session):
    last = ask(session, SOFT)[-1]
    displacement = last.displacement
    assert displacement.grid is session.grid
    assert torch.equal(last.jacobian, jacobian_determinant(displacement.u_mm, session.grid))
    metrics = last.metrics
    assert metrics["tre_mm"]["after"] < 0.5 * metrics["tre_mm"]["before"]
    assert metrics["tre_mm"]["n"] == 4
    assert metrics["mean_dice"]["after"] > metrics["mean_dice"]["before"]
    assert set(metrics["dice"]) == {"body", "organ"}
    assert metrics["folds_fraction"] == float((last.jacobian <= 0).float().mean())
    assert metrics["elasticity"]["organ"] == list(SOFT)


def test_the_initial_alignment_is_part_of_the_answer():
    turn = np.diag([1.1, 0.9, 1.0, 1.0])
    turn[:3, 3] = (9.0, -4.0, 2.0)
    given = SessionInputs(initial=tuple(map(tuple, turn)))
    request = small_request()
    with Session(request.fixed, request.moving, model="none", inputs=given) as session:
        rest = torch.zeros(1, 3, *session.grid.shape)
        u_mm, jacobian = session._measure.whole(rest)
        expected = with_initial(rest, world_points(session.grid, rest), turn)
        assert torch.allclose(u_mm.u_mm, expected, atol=1e-4)
        assert float(jacobian.mean()) == pytest.approx(0.99, abs=1e-4)
        assert session.tissues == ()
        assert list(ask(session, SOFT)[-1].elasticity) == ["everywhere"]


def test_what_is_foreseen_comes_first(session):
    ask(session, SOFT)
    foresee_all(session)
    answers = ask(session, {"everywhere": SOFT, "organ": (0.05, 0.3)})
    assert [answer.stage for answer in answers[:2]] == ["preview", "refined"]
    assert not answers[0].final


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"spleen": SOFT}, "spleen"),
        ((0.7, 0.7), "λ"),
        ({"organ": 3}, "two numbers"),
        ((0.1, 0.2, 0.3), "two numbers"),
    ],
)
def test_wrong_values_are_refused_at_once(session, values, words):
    with pytest.raises(InputError, match=words):
        session.submit(values, print)


# Repeatable


def test_register_is_the_engines_bit_for_bit(session):
    options = RegistrationOptions(
        elasticity=Elasticity(*SOFT),
        tissues={"organ": Elasticity(*HARD)},
        model="none",
        initial="translation",
        refine=4,
        device="cpu",
    )
    session.submit({"body": HARD}, lambda answer: None)  # must not matter
    mine = session.register({"everywhere": SOFT, "organ": HARD})
    engines = register(small_request(options=options))
    assert torch.equal(mine.displacement.u_mm, engines.displacement.u_mm)
    assert torch.equal(mine.inverse.u_mm, engines.inverse.u_mm)
    assert mine.request.options == engines.request.options
    changing = {"seconds", "peak_memory_mib"}
    assert {k: v for k, v in mine.metrics.items() if k not in changing} == {
        k: v for k, v in engines.metrics.items() if k not in changing
    }
    assert set(mine.metrics["seconds"]) == set(engines.metrics["seconds"])


def test_the_seconds_of_a_registration_add_up(session):
    seconds = dict(session.register(SOFT).metrics["seconds"])
    total = seconds.pop("total")
    assert {"prepare", "initial", "refine", "measure"} <= set(seconds)
    assert total >= sum(seconds.values())


def test_register_stops_when_told(session):
    with pytest.raises(Cancelled):
        session.register(SOFT, cancelled=lambda: True)
    assert session.register(SOFT, progress=lambda step, part: None).metrics["device"] == "cpu"


def test_register_stops_while_it_measures(session):
    steps: list[str] = []

    def late() -> bool:
        return steps[-1:] == ["measure"]

    with pytest.raises(Cancelled):
        session.register(SOFT, lambda step, part: steps.append(step), late)
    assert "refine" in steps


# Latest wins


def test_a_storm_ends_with_the_last_requests_answer(session):
    answers, threads = Answers(), threading.active_count()
    for step in range(50):
        number = session.submit((0.0, 0.1 + step / 200), answers, answers.fault)
        time.sleep(0.002)
    last = answers.final()
    assert last.number == number
    assert last.elasticity["organ"] == Elasticity(0.0, 0.1 + 49 / 200)
    numbers = [answer.number for answer in answers.all]
    assert numbers == sorted(numbers)
    assert threading.active_count() == threads


def test_memory_does_not_grow_with_the_requests(session):
    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    def storm(requests: int) -> int:
        for step in range(requests):
            session.submit((0.0, 0.1 + step / 300), lambda answer: None)
            time.sleep(0.004)
        session.cancel()
        session.register(SOFT)
        return tensors()

    first = storm(10)
    assert storm(40) <= first + 8


def test_cancel_silences_and_the_session_goes_on(session):
    answers = Answers()
    session.submit(HARD, answers, answers.fault)
    session.cancel()
    count = len(answers.all)
    assert ask(session, SOFT)[-1].final
    assert len(answers.all) <= count + 1  # one may have been on its way


def test_an_error_in_one_request_is_told_and_survived(session, monkeypatch):
    answers = Answers()

    def broken(*args, **kwargs):
        raise ValueError("a broken field")

    with monkeypatch.context() as patch:
        patch.setattr(session._live, "_answer", broken)
        session.submit(SOFT, answers, answers.fault)
        with pytest.raises(ValueError, match="a broken field"):
            answers.final()
    assert ask(session, SOFT)[-1].final


# Several sessions, and their end


def test_two_sessions_share_nothing(session):
    answers = [Answers(), Answers()]
    with Session.from_request(small_request(2, options=ALONE)) as other:
        sessions = (session, other)
        numbers = [
            each.submit(values, take, take.fault)
            for each, values, take in zip(sessions, (SOFT, HARD), answers, strict=True)
        ]
        last = [take.final(n) for take, n in zip(answers, numbers, strict=True)]
        assert [answer.displacement.grid.ndim for answer in last] == [3, 2]
        assert [answer.elasticity["organ"].mu for answer in last] == [0.1, 0.8]
    assert ask(session, HARD)[-1].final


def test_close_leaves_no_thread_and_may_be_repeated():
    before = {thread.ident for thread in threading.enumerate()}
    session = Session.from_request(small_request(2, options=ALONE))
    session.submit(SOFT, lambda answer: None)
    assert {thread.ident for thread in threading.enumerate()} > before
    session.close()
    session.close()
    assert {thread.ident for thread in threading.enumerate()} == before
    with pytest.raises(InputError, match="closed"):
        session.submit(SOFT, print)
    with pytest.raises(InputError, match="closed"):
        session.register(SOFT)


def test_a_forgotten_session_closes_itself():
    before = threading.active_count()
    session = Session.from_request(small_request(2, options=ALONE))
    gone = weakref.ref(session)
    assert threading.active_count() == before + 1
    del session
    gc.collect()
    assert gone() is None
    assert threading.active_count() == before


@pytest.mark.parametrize(("times", "told"), [(1, 0), (2, 0), (4, 1)])
def test_answers_on_much_larger_voxels_are_called_previews(times, told):
    live = Grid.from_spacing((48, 40, 48), (6.0, 6.0, 6.0))
    fixed = Grid.from_spacing(tuple(n * times for n in live.shape), (6.0 / times,) * 3)
    notes = preview_note(live, fixed)
    assert len(notes) == told
    assert all("previews, on voxels of 6×6×6 mm" in note for note in notes)
    assert all("own 1.5×1.5×1.5 mm" in note for note in notes)
