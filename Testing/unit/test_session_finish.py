"""A field at rest is gone over with finer images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, Grid
from ElasticHyperRegLib.engine.prepare import prepare, problem_of
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import transform_points
from ElasticHyperRegLib.metrics import tre_mm
from ElasticHyperRegLib.session import Session, fields, live
from ElasticHyperRegLib.session.finish import BUDGET, FineField, Finisher, finer_images
from ElasticHyperRegLib.session.solver_field import EQUAL, Held, SolverField, images_grid
from Testing.unit.live_answers import ALONE, HARD, SOFT, Answers, ask, foresee_all
from Testing.unit.small_pair import small_request
from Testing.unit.tiny_models import install, lively, tiny_spec

COARSE = 1000
PLAIN = replace(ALONE, refine=None)


@pytest.fixture
def coarse(monkeypatch):
    """Live images are far coarser than the scans."""
    monkeypatch.setattr(fields, "BUDGET", COARSE)


def off_mm(answer) -> float:
    """Mean distance of the landmarks from the truth."""
    request, found = small_request(), answer.displacement
    moved = transform_points(request.fixed_points, found.u_mm, found.grid)
    return float(tre_mm(moved, request.moving_points).mean())


@pytest.mark.parametrize(
    ("shape", "live_voxels", "expected"),
    [
        ((96, 96, 96), 48**3, (96, 96, 96)),
        ((96, 96, 96), BUDGET // 2 + 1, None),  # about as fine
        ((192, 192, 192), 48**3, (96, 96, 96)),
        ((10, 128, 128), 48**3, None),
    ],
)
def test_finer_images_are_the_scans_own_as_far_as_there_is_time(shape, live_voxels, expected):
    found = finer_images(Grid.from_spacing(shape, (1.0, 1.0, 1.0)), live_voxels)
    assert (None if found is None else found.shape) == expected


@pytest.mark.usefixtures("coarse")
def test_what_rests_comes_nearer_to_the_truth():
    with Session.from_request(small_request(options=PLAIN)) as session:
        assert session._fields.finishes
        answers = ask(session, SOFT)
    rested = max(range(1, len(answers)), key=lambda n: answers[n].seconds - answers[n - 1].seconds)
    settled, last = answers[rested - 1], answers[-1]
    assert [answer.final for answer in answers].index(True) == len(answers) - 1
    assert answers[rested].seconds - settled.seconds > live.FINISH_S
    assert off_mm(last) < 0.8 * off_mm(settled)
    assert last.displacement.grid is session.grid


@pytest.mark.usefixtures("coarse")
def test_equal_settings_end_equally_and_details_stay_in_sight_meanwhile():
    with Session.from_request(small_request(options=PLAIN)) as session:
        first = ask(session, SOFT)[-1]
        on_the_way = ask(session, HARD)
        again = ask(session, SOFT)[-1]
        assert torch.equal(first.displacement.u_mm, again.displacement.u_mm)
        shown = session._live._shown
        assert shown is not None
        seen_mm = session._fields.solver.field(shown)
        assert torch.allclose(seen_mm, elastic_mm(session, again), atol=1e-4)
    assert all(off_mm(answer) < 2 * off_mm(on_the_way[-1]) for answer in on_the_way)


def elastic_mm(session: Session, answer) -> torch.Tensor:
    """The elastic part of an answer whose initial alignment is a shift."""
    shift = torch.tensor(session.initial[:3, 3], dtype=torch.float32)
    return answer.displacement.u_mm - shift.view(1, 3, 1, 1, 1)


@pytest.mark.usefixtures("coarse")
def test_a_slider_that_moves_ends_it(monkeypatch):
    finished, overtaken, answers = Finisher.finished, Answers(), Answers()
    with Session.from_request(small_request(options=PLAIN)) as session:

        def moved(self, d_mm, values, check, passes):
            if not answers.all:
                session.submit(SOFT, answers)  # while the one before is being finished
            yield from finished(self, d_mm, values, check, passes)

        monkeypatch.setattr(Finisher, "finished", moved)
        number = session.submit(HARD, overtaken)
        assert answers.final().number > number
    assert overtaken.all and not any(answer.final for answer in overtaken.all)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("refine", [0, 4])
def test_after_a_network_as_many_passes_as_were_asked_for(models, refine, monkeypatch):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    asked = []
    finished = Finisher.finished

    def noted(self, d_mm, values, check, passes):
        asked.append(passes)
        return finished(self, d_mm, values, check, passes)

    monkeypatch.setattr(Finisher, "finished", noted)
    options = replace(ALONE, model="map", refine=refine)
    with Session.from_request(small_request(options=options)) as session:
        stages = [answer.stage for answer in ask(session, {"organ": HARD})]
    assert asked == ([refine] if refine else [])
    assert stages[-1] == ("refined" if refine else "network")


@pytest.mark.usefixtures("coarse")
def test_where_there_is_no_room_nothing_is_finished(monkeypatch):
    monkeypatch.setattr(fields, "ROOM", 0.0)
    with Session.from_request(small_request(options=PLAIN)) as session:
        assert not session._fields.finishes
        assert ask(session, SOFT)[-1].final
        with pytest.raises(RuntimeError, match="no finer images"):
            session._fields.finisher()


def test_a_field_that_cannot_be_bettered_is_left_and_a_check_ends_it():
    request = small_request()
    grid = images_grid(request.fixed.grid, COARSE)
    problem = problem_of(prepare(request), (0.0, 0.0), np.eye(4), torch.device("cpu"))
    fine = FineField(problem, request.fixed.grid, {})
    finisher = Finisher(fine, grid)
    rest, values = torch.zeros(1, 3, *grid.shape), (Elasticity(*SOFT),)
    assert list(finisher.finished(rest, values, lambda: None, 0)) == []
    found = list(finisher.finished(rest, values, lambda: None, 9))
    assert [last for _, last in found] == [False] * (len(found) - 1) + [True]

    def stop() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        next(finisher.finished(rest, values, stop, 9))


def test_a_check_is_heard_in_the_middle_of_a_pass():
    request = small_request()
    problem = problem_of(prepare(request), (0.0, 0.0), np.eye(4), torch.device("cpu"))
    plain, fine = (kind(problem, request.fixed.grid, {}) for kind in (SolverField, FineField))
    held, values = Held(torch.zeros(1, 3, *fine.field_grid.shape)), (Elasticity(*SOFT),)
    heard = {SolverField: 0, FineField: 0}

    def refined(solver: SolverField) -> torch.Tensor:
        def note() -> None:
            heard[type(solver)] += 1

        return solver.refined(held, values, note, EQUAL).u_vox

    assert torch.equal(refined(plain), refined(fine))
    assert heard[FineField] > 3 * heard[SolverField]
    before = heard[FineField]

    def stop_on_the_way_back() -> None:
        heard[FineField] += 1
        if heard[FineField] == before + 3:  # the gradient of the first value
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        fine.refined(held, values, stop_on_the_way_back, EQUAL)


@pytest.mark.usefixtures("coarse")
def test_lack_of_memory_while_finishing_costs_nothing_but_that(monkeypatch):
    def full(self, *given):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(Finisher, "finished", full)
    with Session.from_request(small_request(options=PLAIN)) as session:
        answers = ask(session, SOFT)
        assert [answer.final for answer in answers].count(True) == 1
        assert answers[-1].final and not session._fields.finishes
        assert session.notes[-1] == "answers are not gone over with finer images: no memory"
        assert not any("instead of" in note for note in session.notes)
        assert ask(session, HARD)[-1].final


@pytest.fixture
def slow_network(models, monkeypatch):
    """A session whose network is never quick, and what it does about derivatives and finishing."""
    monkeypatch.setattr(live, "FRAME_S", 0.0)
    install(lively(tiny_spec("elas-g")), models / "net")
    done: list[str] = []
    finish = live.Live._finish

    def finished(self, setting, turn, deliver):
        done.append(f"finish, {'all' if self.foresees else 'not all'} foreseen")
        finish(self, setting, turn, deliver)

    monkeypatch.setattr(live.Live, "_finish", finished)
    options = replace(ALONE, model="net", refine=4)
    with Session.from_request(small_request(options=options)) as session:
        yield session, done


@pytest.mark.usefixtures("coarse")
def test_before_a_slow_network_is_finished_the_next_setting_is_foreseen(slow_network):
    session, done = slow_network
    final = ask(session, SOFT)[-1]
    assert done == ["finish, all foreseen"]
    preview = ask(session, SOFT)[0]
    assert preview.stage == "preview"
    off = (preview.displacement.u_mm - final.displacement.u_mm).abs().max()
    assert float(off) < 1e-3  # what finer images told is in it


@pytest.mark.usefixtures("coarse")
def test_a_field_is_finished_before_an_errand_and_before_too_many_derivatives(
    slow_network, monkeypatch
):
    session, done = slow_network
    monkeypatch.setattr(live, "FORESEE_S", 0.0)
    ask(session, SOFT)
    assert done == ["finish, not all foreseen"]
    monkeypatch.setattr(live, "FORESEE_S", 60.0)
    foresee_all(session)
    session._live._settled = None  # nothing is foreseen
    answers = Answers()
    session.submit(HARD, answers)
    session._worker.run(lambda stop: done.append("errand"))
    assert answers.final() and done[1:] == ["finish, not all foreseen", "errand"]


@pytest.mark.usefixtures("coarse")
def test_lack_of_memory_for_derivatives_costs_no_final_answer(slow_network, monkeypatch):
    def full(self, setting, turn):
        raise torch.OutOfMemoryError("no memory")

    session, done = slow_network
    monkeypatch.setattr(live.Live, "_differentiate", full)
    answers = Answers()
    session.submit(SOFT, answers, lambda error: done.append(str(error)))
    assert answers.final()
    session.cancel()
    assert done[0] == "finish, not all foreseen"


@pytest.mark.usefixtures("coarse")
def test_lack_of_memory_for_the_last_figures_is_not_taken_for_finishings(monkeypatch):
    with Session.from_request(small_request(options=PLAIN)) as session:
        evidence, tries = session._measure.evidence, []

        def full_once(u_mm):
            tries.append(u_mm)
            if len(tries) == 1:
                raise torch.OutOfMemoryError("no memory")
            return evidence(u_mm)

        monkeypatch.setattr(session._measure, "evidence", full_once)
        answers = ask(session, SOFT)
        assert [answer.final for answer in answers].count(True) == 1 and answers[-1].final
        assert not any("finer images" in note for note in session.notes)
