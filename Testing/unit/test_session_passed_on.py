"""What a session is given reaches its parts; what it has to tell reaches its user."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, LabelMap, RegistrationOptions, RegistrationRequest
from ElasticHyperRegLib.engine.memory import answer_where_it_fits
from ElasticHyperRegLib.engine.prepare import prepare, problem_of
from ElasticHyperRegLib.engine.sliding import SlidingBorder
from ElasticHyperRegLib.estimation import Evidence
from ElasticHyperRegLib.grid import coarser
from ElasticHyperRegLib.session import Session
from ElasticHyperRegLib.session import fields as room
from ElasticHyperRegLib.session import session as module
from ElasticHyperRegLib.session.devices import ladder
from ElasticHyperRegLib.session.fields import MIB, Fields
from ElasticHyperRegLib.session.objective import on_grid
from Testing.unit.live_answers import ALONE, HARD, SOFT, ask
from Testing.unit.small_pair import small_request
from Testing.unit.test_session_worker import SOON, Busy, Endless, settle, worker  # noqa: F401
from Testing.unit.tiny_models import install, lively, tiny_spec

pytestmark = pytest.mark.usefixtures("models")
BORDER = SlidingBorder("organ", width_mm=16.0, shear=0.05)


def test_readouts_know_the_bands_and_the_nodes_of_the_solver(monkeypatch):
    told = []
    monkeypatch.setattr(
        "ElasticHyperRegLib.session.session.readouts", lambda *given: told.append(given)
    )
    with Session.from_request(small_request(options=replace(ALONE, sliding=(BORDER,)))) as session:
        session.readouts(ask(session, SOFT)[-1])
        assert told[0][4] == (BORDER,)
        assert told[0][5] is session._fields.solver.field_grid


def test_what_a_session_has_to_tell_stands_in_its_notes(monkeypatch):
    def elsewhere(*given):
        found = answer_where_it_fits(*given)
        return replace(found, metrics={**found.metrics, "device_note": "on cpu, as it could not"})

    monkeypatch.setattr(module, "answer_where_it_fits", elsewhere)
    monkeypatch.setattr(module, "preview_note", lambda live, fixed: ["answers are previews"])
    with Session.from_request(small_request(2, options=ALONE)) as session:
        session.register(SOFT)
        assert session.notes == ("answers are previews", "register ran on cpu, as it could not")


def test_an_errand_ends_when_the_waiting_for_it_is_interrupted(worker, monkeypatch):  # noqa: F811
    work = Endless()

    def ctrl_c(*given):
        assert work.begun.wait(SOON)
        raise KeyboardInterrupt

    monkeypatch.setattr("ElasticHyperRegLib.session.worker.wait", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        worker.run(work)
    assert work.ended.wait(SOON)


def test_a_fault_of_an_overtaken_request_is_not_told(worker):  # noqa: F811
    told: list[Exception] = []
    busy = Busy(lambda turn: [][0])
    worker.submit(busy, told.append)
    assert busy.begun.wait(SOON)
    worker.submit(lambda turn: None)
    busy.go.set()
    settle(worker)
    assert told == []


def test_a_network_on_larger_voxels_does_not_register(models):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    options = RegistrationOptions(initial="none", model="map", refine=4, device="cpu")
    with Session.from_request(small_request(options=options)) as session:
        own, cpu = session._fields, torch.device("cpu")
        assert own.exact_network("map", cpu) is own.network
        own._step_down(MemoryError("no memory"))
        own._settle()
        assert own.network is not None
        assert own.exact_network("map", cpu) is None


def test_what_does_not_fit_on_a_gpu_may_fit_on_the_processor(monkeypatch):
    free = {"cuda": 5 * MIB, "cpu": 20 * MIB}
    monkeypatch.setattr(room, "free_bytes", lambda device: free[device.type])
    monkeypatch.setattr(Fields, "_needed", lambda self: 10 * MIB)
    own = Fields.__new__(Fields)
    own._ladder, own.notes = ladder(torch.device("cuda")), []
    own._leave_out_what_cannot_fit()
    assert str(own.rung) == "cpu"


def test_masks_go_along_to_another_grid():
    request = small_request()
    masks: Any = {
        f"{side}_mask": LabelMap(torch.ones_like(labels.data), labels.grid)
        for side, labels in (("fixed", request.fixed_labels), ("moving", request.moving_labels))
    }
    prepared = prepare(small_request(**masks))
    problem = problem_of(prepared, (0.0, 0.0), np.eye(4), torch.device("cpu"))
    grid = coarser(request.fixed.grid, tuple(2 * s for s in request.fixed.grid.spacing))
    found = on_grid(problem, grid)
    assert found.fixed_mask is not None
    assert found.moving_mask is not None
    assert found.fixed_mask.shape[2:] == grid.shape
    assert found.moving_mask.shape == found.moving.shape


def masked() -> RegistrationRequest:
    request = small_request()
    return small_request(
        fixed_mask=replace(request.fixed_labels, names={}),
        moving_mask=replace(request.moving_labels, names={}),
        options=RegistrationOptions(
            elasticity=Elasticity(0.2, 0.3),
            initial="none",
            model="none",
            refine=7,
            device="cpu",
            seed=5,
            sliding=(BORDER,),
        ),
    )


def test_a_session_of_a_request_has_all_of_it():
    request = masked()
    with Session.from_request(request) as session:
        for field in fields(request):
            mine, given = (getattr(r, field.name) for r in (session._request, request))
            assert mine is given or (field.name == "options" and mine == given), field.name
        assert session._setting({}).of("organ") == request.options.elasticity


def test_the_evidence_of_a_request_has_its_masks():
    request = masked()
    found = Evidence.of(request, np.eye(4))
    assert found.fixed_mask is request.fixed_mask
    assert found.moving_mask is request.moving_mask


def test_derivatives_follow_the_field():
    with Session.from_request(small_request(2, options=ALONE)) as session:
        for values in (SOFT, HARD):
            ask(session, values)
            wanted, end = (Elasticity(*values),) * len(session.tissues), time.monotonic() + 5
            while not (
                (found := session._live._settled) and found.whole and found.tangent.values == wanted
            ):
                assert time.monotonic() < end
                time.sleep(0.01)


def test_equal_settings_have_equal_final_fields_whatever_was_asked_between():
    with Session.from_request(small_request(2, options=ALONE)) as session:
        first, *_, last = (ask(session, values)[-1] for values in (SOFT, HARD, (0.0, 0.02), SOFT))
        assert torch.equal(first.displacement.u_mm, last.displacement.u_mm)
        assert [answer.final for answer in ask(session, HARD)].count(True) == 1
