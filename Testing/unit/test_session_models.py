"""Live sessions with a trained model, and on devices that run out of memory."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch

import ElasticHyperRegLib.session.fields as fields_module
from ElasticHyperRegLib import Elasticity, InputError, RegistrationOptions, register
from ElasticHyperRegLib.engine import NetworkField
from ElasticHyperRegLib.estimation import EstimateOptions
from ElasticHyperRegLib.session import Session
from ElasticHyperRegLib.session.devices import Rung, empty_caches, free_bytes, ladder, pick
from ElasticHyperRegLib.session.solver_field import SolverField
from Testing.unit.live_answers import ALONE, HARD, SOFT, Answers, ask
from Testing.unit.small_pair import small_request
from Testing.unit.tiny_models import install, lively, tiny_spec

FAR_OFF = "ElasticHyperRegLib.session.fields.is_far_off"

pytestmark = pytest.mark.usefixtures("models")


# With a trained model


def test_the_network_answers_first(models):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    options = RegistrationOptions(initial="none", model="map", refine=4, device="cpu")
    request = small_request(options=options)
    with Session.from_request(request) as session:
        assert session.model_name == "map"
        assert session.tissues == ("background", "body", "organ")
        answers = ask(session, {"organ": HARD})
        assert answers[0].stage == "network"
        assert answers[-1].stage == "refined"
        again = ask(session, {"organ": HARD})
        network = [a[-1].displacement.u_mm for a in (answers, again)]
        assert torch.equal(*network)  # no path leads to it
        mine = session.register({"organ": HARD})
        wanted = RegistrationOptions(
            tissues={"organ": Elasticity(*HARD)},
            initial="none",
            model="map",
            refine=4,
            device="cpu",
        )
        engines = register(small_request(options=wanted))
        assert torch.equal(mine.displacement.u_mm, engines.displacement.u_mm)
        assert mine.metrics["model"] == "map"


def test_a_model_that_knows_no_tissues_has_one_setting(models):
    install(lively(tiny_spec()), models / "one")
    options = RegistrationOptions(initial="none", model="one", refine=0, device="cpu")
    with Session.from_request(small_request(options=options)) as session:
        assert session.tissues == ()
        answers = ask(session, SOFT)
        assert [(answer.stage, answer.final) for answer in answers] == [("network", True)]
        assert answers[-1].metrics["model"] == "one"
        with pytest.raises(InputError, match="organ"):
            session.submit({"organ": SOFT}, print)


def test_auto_takes_no_model_that_cannot_tell_tissues_apart(models, monkeypatch):
    install(lively(tiny_spec()), models / "one")
    monkeypatch.setattr(FAR_OFF, lambda problem, field, tick: False)
    request = small_request()
    with Session(request.fixed, request.moving, request.fixed_labels, device="cpu") as session:
        assert session.model_name == "none"
        assert session.notes == ("no trained model fits this pair: the solver answers",)
    with Session(request.fixed, request.moving, device="cpu") as session:
        assert session.model_name == "one"
        assert session.notes == ()


@pytest.mark.parametrize(("model", "far"), [("auto", True), ("auto", False), ("one", True)])
def test_a_session_leaves_a_model_that_is_far_off(models, monkeypatch, model, far):
    install(lively(tiny_spec()), models / "one")
    monkeypatch.setattr(FAR_OFF, lambda problem, field, tick: far)
    request = small_request()
    with Session(request.fixed, request.moving, None, model, "cpu") as session:
        left = far and model == "auto"
        assert session.model_name == ("none" if left else "one")
        told = ("one is far off for this pair: the solver answers",)
        assert session.notes == (told if left else ())
        stages = {answer.stage for answer in ask(session, SOFT)}
        assert ("network" in stages) != left


def test_a_named_model_must_know_every_tissue_before_anything_is_computed(models):
    install(lively(tiny_spec("elas-sas")), models / "some")
    options = RegistrationOptions(initial="none", model="some", device="cpu")
    with pytest.raises(InputError, match="'some', which does not know body"):
        Session.from_request(small_request(options=options))


def test_the_start_of_a_tissue_counts_where_one_setting_holds_everywhere(models):
    install(lively(tiny_spec()), models / "one")
    request = small_request(options=RegistrationOptions(initial="none", model="one", device="cpu"))
    start = Elasticity(0.1, 0.7)
    options = EstimateOptions("folds", step=0.5, tissues={"organ": start})  # nothing decides
    with Session.from_request(request) as session:
        assert session.estimate(options).elasticity["organ"] == start
        with pytest.raises(InputError, match="spleen"):
            session.estimate(replace(options, tissues={"spleen": start}))


# Devices


def test_the_ladder_ends_on_the_processor_with_larger_voxels():
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert ladder(cuda) == [Rung(cuda, 1.0), Rung(cuda, 2.0), Rung(cpu, 1.0), Rung(cpu, 2.0)]
    assert ladder(cpu) == [Rung(cpu, 1.0), Rung(cpu, 2.0)]
    assert pick("cpu") == cpu
    with pytest.raises(InputError, match="tpu"):
        pick("tpu")


def test_mps_is_taken_by_its_name_alone_and_only_where_it_is(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="the device 'mps'"):
        pick("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick("mps") == torch.device("mps")
    assert [str(rung) for rung in ladder(pick("mps"))] == [
        "mps",
        "mps, voxels 2 times as large",
        "cpu",
        "cpu, voxels 2 times as large",
    ]


def test_out_of_memory_falls_back_and_says_so(monkeypatch):
    refine, left = SolverField.refine, [1]

    def greedy(self, *args):
        if left and left.pop():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return refine(self, *args)

    monkeypatch.setattr(SolverField, "refine", greedy)
    with Session.from_request(small_request(2, options=ALONE)) as session:
        grid = session.grid
        answers = ask(session, SOFT)
        assert answers[-1].displacement.grid is grid
        assert "voxels 2 times as large instead of cpu: CUDA out of memory" in session.notes[-1]
        assert not session._fields.solver.field_grid.same_as(grid)


def test_a_sensitivity_map_stays_on_the_grid_of_the_answers(models, monkeypatch):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    options = RegistrationOptions(initial="none", model="map", refine=4, device="cpu")
    with Session.from_request(small_request(options=options)) as session:
        answer, left = NetworkField.displacement, [1]

        def greedy(self, *args):
            if left and left.pop():
                raise MemoryError("no memory")
            return answer(self, *args)

        monkeypatch.setattr(NetworkField, "displacement", greedy)
        found = session.sensitivity([SOFT, HARD])
        assert len(session.notes) == 1
        assert session._fields.network is not None
        assert session._fields.network.grid.shape != session.grid.shape
        assert found.grid is session.grid
        assert found.displacement_sd_mm.shape[2:] == session.grid.shape


def test_caches_are_emptied_when_nothing_holds_what_failed(monkeypatch):
    class Large:
        pass

    gone: list[bool] = []
    kept: list[weakref.ref[Large]] = []
    refine = SolverField.refine

    def greedy(self, *args):
        if not kept:
            held = Large()
            kept.append(weakref.ref(held))
            raise torch.OutOfMemoryError("no memory")
        return refine(self, *args)

    def emptied():
        gc.collect()
        gone.append(kept[0]() is None)

    monkeypatch.setattr(SolverField, "refine", greedy)
    monkeypatch.setattr(fields_module, "empty_caches", emptied)
    with Session.from_request(small_request(options=ALONE)) as session:
        ask(session, SOFT)
    assert gone == [True]


def test_what_pytorch_keeps_of_a_gpu_is_free(monkeypatch):
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100 + 40 * len(emptied), 1000))
    assert free_bytes(torch.device("cuda")) == 140


def test_a_gpu_that_is_too_full_to_be_asked_has_nothing_free(monkeypatch):
    def full(*given: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    monkeypatch.setattr(torch.cuda, "empty_cache", full)
    assert free_bytes(torch.device("cuda")) == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    empty_caches()  # a failed recording may forbid it: what falls back goes on


def test_a_callback_that_lacks_a_part_is_not_taken_for_a_device_that_does():
    def draw(surface: object) -> None:
        raise NotImplementedError("my view cannot draw this")

    with Session.from_request(small_request(2, options=ALONE)) as session:
        with pytest.raises(NotImplementedError, match="my view"):
            session.estimate("dice", on_surface=draw)
        assert session.notes == ()


def test_what_fits_nowhere_is_told(monkeypatch):
    def greedy(self, *args):
        raise torch.OutOfMemoryError("no memory at all")

    monkeypatch.setattr(SolverField, "refine", greedy)
    with Session.from_request(small_request(2, options=ALONE)) as session:
        with pytest.raises(torch.OutOfMemoryError):
            ask(session, SOFT)
        assert len(session.notes) == 1


def test_what_cannot_fit_is_not_tried(monkeypatch):
    monkeypatch.setattr(fields_module, "free_bytes", lambda device: 2**20)
    with Session.from_request(small_request(options=ALONE)) as session:
        assert "MiB are needed, 1 MiB are free" in session.notes[-1]
        assert session._fields.rung.coarsening == 2.0


def test_a_slider_that_moves_during_a_sensitivity_map_is_answered(models, monkeypatch):
    """The network of the map is asked in inference mode, and asks whether to stop there."""
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    options = RegistrationOptions(initial="none", model="map", refine=4, device="cpu")
    answers, moved, met = Answers(), [HARD], []
    with Session.from_request(small_request(options=options)) as session:
        predict = NetworkField.predict

        def watched(self, values, check):
            if moved and torch.is_inference_mode_enabled():
                session.submit(moved.pop(), answers, answers.fault)
            met.append(torch.is_inference_mode_enabled())
            return predict(self, values, check)

        monkeypatch.setattr(NetworkField, "predict", watched)
        session.sensitivity([SOFT, HARD])
        assert answers.final().stage == "refined"
    assert any(met)


def test_a_sensitivity_map_compares_final_answers(models, monkeypatch):
    """What a network says by itself, which the solver goes on from, hangs less on the prior."""
    # Maps are in float32; on a busy machine live answers may seem quicker in half precision.
    monkeypatch.setattr("ElasticHyperRegLib.engine.arithmetic.half_type", lambda device: None)
    install(lively(tiny_spec("elas-g")), models / "net")
    options = RegistrationOptions(initial="none", model="net", refine=4, device="cpu")
    with Session.from_request(small_request(options=options)) as session:
        found = session.sensitivity([SOFT, HARD]).displacement_sd_mm
        fields = [ask(session, value)[-1].displacement.u_mm for value in (SOFT, HARD)]
    expected = (fields[0] - fields[1]).square().sum(1, keepdim=True).sqrt() / 2
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.01)
    assert float(expected.max()) > 0.05
