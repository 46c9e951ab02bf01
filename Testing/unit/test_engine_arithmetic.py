"""Which arithmetic a network is run in: asked of the machine, and never at the cost of the field.

What needs a CUDA device is skipped where there is none.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.engine import NetworkOptions, arithmetic
from ElasticHyperRegLib.engine.arithmetic import FLOAT32, Captured, has_bfloat16, quickest
from ElasticHyperRegLib.session.devices import ladder
from ElasticHyperRegLib.session.fields import Fields
from Testing.unit.small_pair import small_request
from Testing.unit.test_network_field import bound, stack_request
from Testing.unit.tiny_models import install, lively, tiny_spec

SOFT = Elasticity(0.0, 0.1)
GIVEN = torch.ones(1, 2)


def plain(given: torch.Tensor) -> torch.Tensor:
    return given + 1


@pytest.fixture
def other(monkeypatch):
    """Gives ``quickest`` one other way: what it finds, and its seconds where float32 takes 1."""

    def offer(function, seconds: float) -> None:
        monkeypatch.setattr(
            arithmetic, "_others", lambda device: iter([("other", lambda *_: function)])
        )
        monkeypatch.setattr(
            arithmetic, "_seconds", lambda asked, _: seconds if asked is function else 1.0
        )

    return offer


@pytest.mark.parametrize(
    ("off", "seconds", "name"),
    [
        (0.05, 0.5, "other"),
        (0.0, 0.9, FLOAT32),
        (0.0, 3.0, FLOAT32),
        (0.5, 0.1, FLOAT32),
        (math.nan, 0.1, FLOAT32),
    ],
)
def test_another_way_is_taken_where_it_is_quicker_and_as_good(other, off, seconds, name):
    other(lambda given: plain(given) + off, seconds)
    way = quickest(plain, GIVEN)
    assert way.name == name
    assert (way.function is plain) == (name == FLOAT32)


def test_what_the_device_cannot_do_is_left_out(other):
    def fault(given: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("operation not permitted when stream is capturing")

    other(fault, 0.1)
    assert quickest(plain, GIVEN).name == FLOAT32


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("processor: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("processor: 0\nFeatures\t: fp asimd bf16 i8mm\n", True),
        ("processor: 0\nflags\t\t: fpu avx2 not_bf16\n", False),
        ("", False),
    ],
)
def test_a_processor_tells_whether_it_has_bfloat16(monkeypatch, text, there):
    monkeypatch.setattr(Path, "read_text", lambda self, **_: text)
    assert has_bfloat16() is there


def test_a_system_that_does_not_tell_has_none(monkeypatch):
    def missing(self: Path, **_: str) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    assert not has_bfloat16()


@pytest.fixture
def bfloat16(monkeypatch):
    """As if the processor had it, and it were quick."""
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda: True)
    monkeypatch.setattr(arithmetic, "WORTH", math.inf)


@pytest.mark.parametrize(("kind", "ndim"), [("elas-g", 3), ("elas-g", 2), ("CSAIN-elastic", 3)])
def test_bfloat16_gives_about_the_same_field(bfloat16, tmp_path, kind, ndim):
    install(lively(tiny_spec(kind, ndim), scale=0.05), tmp_path / "model")
    request = small_request() if ndim == 3 else stack_request()
    usual = bound(tmp_path / "model", request)
    quick = bound(tmp_path / "model", request, options=NetworkOptions(quick=True))
    assert (usual.arithmetic, quick.arithmetic) == (FLOAT32, "bfloat16")
    expected, found = (field.displacement(SOFT, {}) for field in (usual, quick))
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert float((found - expected).abs().max()) < 0.1 * max(usual.grid.spacing)


def test_gradients_are_taken_in_float32(bfloat16, tmp_path):
    install(lively(tiny_spec(), scale=0.05), tmp_path / "model")
    usual, quick = (
        bound(tmp_path / "model", small_request(), options=NetworkOptions(quick=q))
        for q in (False, True)
    )
    values = torch.tensor([[0.1, 0.2]], requires_grad=True)
    assert torch.equal(usual.predict(values), quick.predict(values))


def test_a_network_in_other_arithmetic_is_not_taken_for_the_exact_one():
    network = type("Network", (), {"arithmetic": "bfloat16"})()
    fields = Fields.__new__(Fields)
    fields.network, fields._ladder = network, ladder(torch.device("cpu"))
    assert fields.exact_network is None
    network.arithmetic = FLOAT32
    assert fields.exact_network is network


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_function_answers_as_itself():
    weight = torch.randn(4, 1, 3, 3, device="cuda")

    def function(given: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(given, weight, padding=1).relu()

    first, second = torch.rand(2, 2, 1, 16, 16, device="cuda")
    with torch.no_grad():
        captured = Captured(function, first)
        kept = captured(first)
        torch.testing.assert_close(captured(second), function(second))
        torch.testing.assert_close(kept, function(first))
