"""How fine the live grid is: as a processor bears it, and as a GPU was measured to."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib import RegistrationOptions
from ElasticHyperRegLib.session import Session, budget, fields, solver_field
from ElasticHyperRegLib.session.budget import affordable, seconds_of_pass
from Testing.unit.live_answers import HARD, ask
from Testing.unit.small_pair import small_request
from Testing.unit.test_session_solver import make_field
from Testing.unit.tiny_models import install, lively, tiny_spec

LARGE = 192 * 160 * 192


@pytest.mark.parametrize(
    ("nanoseconds", "most", "expected"),
    [
        (1.0, LARGE, budget.MOST),  # what the processor can show
        (1.0, 120**3, 120**3),  # all of it
        (20.0, LARGE, 4 * solver_field.BUDGET),
        (1e4, LARGE, solver_field.BUDGET),  # never less than a processor bears
        (1.0, 1000, 1000),
    ],
)
def test_the_budget_is_doubled_as_long_as_a_pass_stays_short(nanoseconds, most, expected):
    assert affordable(lambda voxels: voxels * nanoseconds * 1e-9, most) == expected


def test_a_pass_is_timed_on_what_it_would_be():
    assert 0 < seconds_of_pass(make_field()) < 5


@pytest.fixture
def quick_device(monkeypatch):
    """The processor is measured as a GPU would be, and a budget is small beside these images."""
    for module in (budget, fields, solver_field):
        monkeypatch.setattr(module, "BUDGET", 200)
    for module in (budget, fields):
        monkeypatch.setattr(module, "MEASURED", ("cpu",))
    return lambda seconds: monkeypatch.setattr(fields, "seconds_of_pass", lambda solver: seconds)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_the_live_grid_follows_the_device(quick_device, seconds):
    quick_device(seconds)
    request = small_request()
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        fine = session.grid.voxels == request.fixed.grid.voxels
        assert fine == (seconds == 0.0)
        answer = ask(session, HARD)[-1]
        assert answer.displacement.grid is session.grid
        assert session._fields.solver.device == torch.device("cpu")


def test_without_room_the_grid_stays_coarse(quick_device, monkeypatch):
    quick_device(0.0)
    monkeypatch.setattr(fields, "ROOM", 0.0)
    request = small_request()
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        assert session.grid.voxels < request.fixed.grid.voxels


def test_a_trial_that_runs_out_of_memory_costs_no_device(quick_device, monkeypatch):
    def full(solver: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fields, "seconds_of_pass", full)
    request = small_request()
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        assert session.grid.voxels < request.fixed.grid.voxels
        assert not any("instead of" in note for note in session.notes)
        assert ask(session, HARD)[-1].final


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_network_is_answered_on_a_finer_grid_where_that_is_afforded(
    quick_device, models, seconds
):
    quick_device(seconds)
    coarse = {"spacing_mm": [8.0] * 3, "size": [12] * 3}
    install(lively(tiny_spec("elas-g")), models / "net", coarse)
    options = RegistrationOptions(initial="none", model="net", device="cpu")
    with Session.from_request(small_request(options=options)) as session:
        network = session._fields.network
        assert network is not None
        finer = session.grid.voxels > network.grid.voxels
        assert finer == (seconds == 0.0)
        assert ask(session, HARD)[-1].displacement.grid is session.grid
