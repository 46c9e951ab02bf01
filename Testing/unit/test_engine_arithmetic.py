"""Which arithmetic a network is run in: asked of the machine, and never at the cost of the field.

What needs a CUDA device is skipped where there is none.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.engine import NetworkField, NetworkOptions, arithmetic
from ElasticHyperRegLib.engine.arithmetic import has_bfloat16, quickest_type
from ElasticHyperRegLib.engine.prepare import prepare
from ElasticHyperRegLib.networks import ModelSpec
from ElasticHyperRegLib.session.devices import ladder
from ElasticHyperRegLib.session.fields import Fields
from ElasticHyperRegLib.weights import load_model
from Testing.unit.small_pair import small_request
from Testing.unit.test_network_field import bound, stack_request
from Testing.unit.tiny_models import UNET, install, lively, tiny_spec

SOFT = Elasticity(0.0, 0.1)
KINDS = ["elas-g", "CSAIN-elastic", "twice"]
CPU, HALF = torch.device("cpu"), torch.bfloat16


def spec_of(kind: str, ndim: int) -> ModelSpec:
    if kind != "twice":
        return tiny_spec(kind, ndim)
    return replace(tiny_spec("elas-g", ndim), options=replace(UNET, passes=2))


@pytest.fixture
def bfloat16(monkeypatch):
    """As if the processor had it; gives what to call with its seconds where float32 takes 1."""
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda: True)

    def takes(seconds: float) -> None:
        monkeypatch.setattr(
            arithmetic, "_seconds", lambda f, e, dtype: seconds if dtype == HALF else 1.0
        )

    takes(0.5)
    return takes


@pytest.mark.parametrize(
    ("off", "seconds", "dtype"),
    [
        (0.05, 0.5, HALF),
        (0.0, 0.9, torch.float32),
        (0.0, 3.0, torch.float32),
        (0.5, 0.1, torch.float32),
        (math.nan, 0.1, torch.float32),
    ],
)
def test_half_precision_is_taken_where_it_is_quicker_and_as_good(bfloat16, off, seconds, dtype):
    def function(given: torch.Tensor) -> torch.Tensor:
        return given + (off if torch.is_autocast_enabled("cpu") else 0.0)

    bfloat16(seconds)
    assert quickest_type(function, [torch.ones(2)]) == dtype


def test_one_setting_that_is_far_off_is_enough(bfloat16):
    def function(given: torch.Tensor) -> torch.Tensor:
        return given * (1.05 if torch.is_autocast_enabled("cpu") else 1.0)

    assert quickest_type(function, [torch.ones(2)]) == HALF
    assert quickest_type(function, [torch.ones(2), torch.full((2,), 9.0)]) == torch.float32


def test_without_another_type_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda: False)

    def fault(given: torch.Tensor) -> torch.Tensor:
        raise AssertionError("tried")

    assert quickest_type(fault, [torch.ones(2)]) == torch.float32


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_bfloat16_gives_about_the_same_field(bfloat16, tmp_path, kind, ndim):
    install(lively(spec_of(kind, ndim), scale=0.05), tmp_path / "model")
    request = small_request() if ndim == 3 else stack_request()
    usual = bound(tmp_path / "model", request)
    quick = bound(tmp_path / "model", request, options=NetworkOptions(quick=True))
    assert (usual.dtype, quick.dtype) == (torch.float32, HALF)
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


def test_a_network_in_half_precision_is_not_taken_for_the_exact_one(bfloat16, tmp_path):
    install(lively(tiny_spec(), scale=0.05), tmp_path / "model")
    fields = Fields.__new__(Fields)
    fields._ladder = ladder(CPU)
    for quick, name in ((True, "bfloat16"), (False, "float32")):
        options = NetworkOptions(quick=quick)
        fields.network = bound(tmp_path / "model", small_request(), options=options)
        assert fields.arithmetic == name
        assert (fields.exact_network(fields.network.name, torch.device("cpu")) is None) == quick


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gives_about_the_same_field(tmp_path, kind):
    install(lively(spec_of(kind, 3), scale=0.05), tmp_path / "model")
    request = small_request()
    expected = bound(tmp_path / "model", request).displacement(SOFT, {})
    field = NetworkField(
        load_model(tmp_path / "model"),
        prepare(request),
        np.eye(4),
        None,
        torch.device("cuda"),
        NetworkOptions(quick=True),
    )
    found = field.displacement(SOFT, {}).cpu()
    assert float((found - expected).abs().max()) < 0.1 * max(field.grid.spacing)
