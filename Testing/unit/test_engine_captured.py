"""Functions captured as graphs: on a stand-in that records and replays, and on a GPU."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.engine import NetworkField, NetworkOptions, arithmetic
from ElasticHyperRegLib.engine.captured import Captured, captured
from ElasticHyperRegLib.grid import constant
from Testing.unit.pretend_graphs import graphs
from Testing.unit.small_pair import small_request
from Testing.unit.test_network_field import bound
from Testing.unit.tiny_models import install, lively, tiny_spec

__all__ = ["graphs"]

GIVEN, OTHER = torch.tensor([1.0, 2.0]), torch.tensor([0.0, -3.0])
QUICK = NetworkOptions(quick=True)


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x + 1


def test_without_graphs_a_function_is_itself():
    assert captured(doubled, GIVEN, OTHER) is doubled


def test_a_replay_is_the_function_of_what_is_given(graphs):
    quick = captured(doubled, GIVEN, OTHER)
    first = quick(GIVEN)
    assert torch.equal(quick(torch.tensor([5.0, 6.0])), torch.tensor([11.0, 13.0]))
    assert torch.equal(first, doubled(GIVEN))  # not written to by the second
    assert graphs[0].replays == 3  # one of them the trial


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x: x * x.sum().item(), "not permitted when stream is capturing"),
        (lambda x: x + torch.rand(()) * 1e3, "their graph is off by"),
    ],
)
def test_what_a_graph_cannot_hold_is_run_as_before(graphs, caplog, function, told):
    with caplog.at_level(logging.WARNING):
        assert captured(function, GIVEN, OTHER) is function
    assert told in caplog.text
    assert "\n" not in caplog.messages[0]


def test_a_graph_that_there_is_no_memory_for_is_done_without(graphs, monkeypatch, caplog):
    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("Testing.unit.pretend_graphs.Graph.replay", full)
    assert captured(doubled, GIVEN, OTHER) is doubled
    assert "out of memory" in caplog.text


def test_a_recording_that_fails_goes_back_to_its_stream(graphs, monkeypatch):
    went_back: list[object] = []
    monkeypatch.setattr(torch.cuda, "set_stream", went_back.append)
    assert captured(lambda x: x * x.sum().item(), GIVEN, OTHER) is not doubled
    assert len(went_back) == 1


@pytest.mark.usefixtures("graphs")
def test_a_graph_that_has_frozen_what_it_was_given_is_found_out(monkeypatch, caplog):
    monkeypatch.setattr("Testing.unit.pretend_graphs.Graph.replay", lambda self: None)
    assert captured(doubled, GIVEN, OTHER) is doubled
    assert "their graph is off by" in caplog.text


@pytest.mark.usefixtures("graphs")
def test_constants_stay_as_long_as_their_graph():
    values = [0.123, 0.456]
    quick = Captured(lambda x: x * constant(values, x), GIVEN)
    (kept,) = quick._read  # a graph itself holds nothing that it reads
    assert kept is constant(values, GIVEN)


@pytest.fixture
def exact(monkeypatch):
    """No type but float32."""
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda: False)


@pytest.mark.usefixtures("models", "exact")
@pytest.mark.parametrize("name", ["elas-g", "CSAIN-elastic"])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_network_is_answered_by_its_graph(models, graphs, name, passes):
    spec = tiny_spec(name)
    options = replace(spec.options, passes=passes, force_window=3)
    install(lively(replace(spec, options=options)), models / "thorax")
    plain = bound(models / "thorax", small_request())
    quick = bound(models / "thorax", small_request(), options=QUICK)
    assert graphs
    before = graphs[-1].replays
    for elasticity in (Elasticity(0.0, 0.05), Elasticity(0.3, 0.6), Elasticity(0.1, 0.1)):
        found = quick.displacement(elasticity, {})
        torch.testing.assert_close(found, plain.displacement(elasticity, {}))
        assert not found.is_inference()
    assert graphs[-1].replays == before + 3


@pytest.mark.usefixtures("models", "graphs")
def test_a_request_that_is_over_is_not_replayed(models):
    install(lively(tiny_spec()), models / "thorax")
    field = bound(models / "thorax", small_request(), options=QUICK)

    def over() -> None:
        raise RuntimeError("overtaken")

    with pytest.raises(RuntimeError, match="overtaken"):
        field.displacement(Elasticity(0.1, 0.1), {}, over)


@pytest.mark.usefixtures("models", "graphs")
def test_gradients_do_not_go_through_a_graph(models):
    install(lively(tiny_spec()), models / "thorax")
    field: NetworkField = bound(models / "thorax", small_request(), options=QUICK)
    values = torch.tensor([[0.1, 0.2]], requires_grad=True)
    assert field.predict(values).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_replays():
    given = GIVEN.cuda()
    quick = captured(doubled, given, given + 1)
    assert isinstance(quick, Captured)
    assert torch.equal(quick(given + 1).cpu(), doubled(GIVEN + 1))


@pytest.mark.usefixtures("models")
def test_the_exact_network_has_a_graph_of_its_own(models, graphs, monkeypatch):
    monkeypatch.setattr(NetworkField, "_quickest", lambda self: torch.bfloat16)
    install(lively(tiny_spec()), models / "thorax")
    quick = bound(models / "thorax", small_request(), options=QUICK)
    made, exact = len(graphs), quick.exact
    assert exact is quick.exact and exact.exact is exact
    assert (quick.dtype, exact.dtype, len(graphs)) == (torch.bfloat16, torch.float32, made + 1)
    plain = bound(models / "thorax", small_request()).displacement(Elasticity(0.1, 0.3), {})
    torch.testing.assert_close(exact.displacement(Elasticity(0.1, 0.3), {}), plain)
    assert not torch.equal(quick.displacement(Elasticity(0.1, 0.3), {}), plain)
