"""What a session says of λ and μ: estimates, sensitivity, readouts."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.estimation import EstimateOptions, Setting, Surface
from ElasticHyperRegLib.estimation.settings import around
from ElasticHyperRegLib.session import Session, SessionInputs
from ElasticHyperRegLib.session.values import with_neighbours
from Testing.unit.live_answers import HARD, SOFT, ask
from Testing.unit.small_pair import small_request

pytestmark = pytest.mark.usefixtures("models")


def test_by_default_an_estimate_rests_on_the_best_that_there_is(session, monkeypatch):
    asked = []

    def remember(field, evidence, options, *rest):
        asked.append(options.weights)

    monkeypatch.setattr("ElasticHyperRegLib.session.session.estimate", remember)
    session.estimate()
    request = small_request()
    with Session(request.fixed, request.moving, model="none", device="cpu") as bare:
        bare.estimate()
    assert asked == [{"dice": 1.0}, {"similarity": 1.0}]


def test_estimate_and_sensitivity_use_the_sessions_field():
    request = small_request(2)
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        told = []
        found = session.estimate(
            "similarity", "coarse-to-fine", lambda step, part: told.append(part), start=SOFT
        )
        assert set(found.elasticity) == {"everywhere"}
        assert found.model == "none"
        assert told[-1] == 1
        spread = session.sensitivity([SOFT, HARD])
        assert spread.grid is session.grid
        assert float(spread.displacement_sd_mm.max()) > 0
        with pytest.raises(Cancelled):
            session.sensitivity(cancelled=lambda: True)


def test_without_a_model_equal_settings_have_no_spread():
    """Fields that have come differently far would."""
    request = small_request(2)
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        none = session.sensitivity([SOFT] * 4)
        assert float(none.displacement_sd_mm.max()) == 0
        some = session.sensitivity([SOFT, HARD])
        again = session.sensitivity([SOFT, HARD])
        assert torch.equal(some.displacement_sd_mm, again.displacement_sd_mm)
        assert float(some.displacement_sd_mm.max()) > 0


def test_sensitivity_about_a_setting_is_that_of_it_and_its_neighbours():
    request = small_request(2)
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        asked, values = threading.Event(), {"everywhere": Elasticity(*SOFT)}
        session.submit(HARD, lambda answer: asked.set() if answer.final else None)
        assert asked.wait(60)
        about = session.sensitivity(values)
        centre = Setting.read(values)
        near = [centre.with_tissue("everywhere", e) for e in around(Elasticity(*SOFT), 0.1)]
        same = session.sensitivity([centre, *near])
        assert torch.equal(about.displacement_sd_mm, same.displacement_sd_mm)
        for one in (SOFT, Elasticity(*SOFT), centre, [SOFT]):
            again = session.sensitivity(one)
            assert torch.equal(about.displacement_sd_mm, again.displacement_sd_mm)
        with pytest.raises(InputError, match="0 settings to compare"):
            session.sensitivity([])
        with pytest.raises(InputError, match="for 1; expected everywhere or tissues"):
            session.sensitivity([{1: SOFT}, HARD])  # type: ignore[dict-item]  # as a slip has it
        other = session.sensitivity()
        assert not torch.allclose(about.displacement_sd_mm, other.displacement_sd_mm)


def test_estimate_takes_its_whole_options_and_tells_of_surfaces():
    options = EstimateOptions("similarity", step=0.5, elasticity=Elasticity(*SOFT), sweeps=0)
    request = small_request(2)
    surfaces: list[Surface] = []
    with Session(request.fixed, request.moving, model="none", device="cpu") as session:
        found = session.estimate(options, on_surface=surfaces.append)
        assert len(found.surface().settings) == 1 + 6
        assert surfaces[1:] == list(found.surfaces)
        with pytest.raises(InputError, match="besides the whole options"):
            session.estimate(options, method="grid")
        with pytest.raises(InputError, match="organ"):
            session.estimate(EstimateOptions("similarity", tissues={"organ": Elasticity(*HARD)}))


def test_readouts_are_those_of_the_elastic_part():
    turn = np.diag([1.1, 0.9, 1.0, 1.0])
    given = SessionInputs(initial=tuple(map(tuple, turn)))
    request = small_request()
    pair = (request.fixed, request.moving, request.fixed_labels)
    with Session(*pair, model="none", device="cpu", inputs=given) as session:
        answer = ask(session, {"everywhere": SOFT, "organ": HARD})[-1]
        nothing, _ = session._measure.whole(torch.zeros_like(answer.displacement.u_mm))
        rest = replace(answer, displacement=nothing)
        still, found = session.readouts(rest).tissues, session.readouts(answer).tissues
    assert still["organ"]["von_mises_strain"] < 1e-5  # the alignment is no strain
    assert found["organ"]["von_mises_strain"] > 1e-3
    stiff, soft = (found[name] for name in ("organ", "body"))
    ratio = stiff["von_mises_stress"] / stiff["von_mises_strain"]
    assert ratio == pytest.approx(3 * HARD[1], rel=1e-4)
    ratio = soft["von_mises_stress"] / soft["von_mises_strain"]
    assert ratio == pytest.approx(3 * SOFT[1], rel=1e-4)


def test_sensitivity_compares_the_neighbours_of_the_last_setting(session):
    session.submit({"everywhere": SOFT, "organ": HARD}, lambda answer: None)
    compared = with_neighbours(session._asked, session.tissues)
    session.cancel()
    assert compared[0].of("organ") == Elasticity(*HARD)
    assert compared[0].of("body") == Elasticity(*SOFT)
    changed = [
        [name for name in session.tissues if other.of(name) != compared[0].of(name)]
        for other in compared[1:]
    ]
    assert {len(names) for names in changed} == {1}
    assert {names[0] for names in changed} == set(session.tissues)
