"""Specifications, their tables, and what becomes of λ and μ before a network sees them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.networks import (
    LITERATURE,
    SPECS,
    HyperMorphOptions,
    LapIRNOptions,
    ModelSpec,
    encode_angles,
    paint,
    spec_from_table,
    spec_to_table,
)

ELASTIC = ("lambda", "mu")


@pytest.mark.parametrize(
    ("name", "backbone", "conditioning", "regulariser", "hyper"),
    [
        ("diff-g", "hypermorph", "global", "diffusion", ("alpha",)),
        ("elas-fixed", "hypermorph", "global", "elastic", ("alpha",)),
        ("elas-g", "hypermorph", "global", "elastic", ELASTIC),
        ("diff-sas", "hypermorph", "tissue", "diffusion", ("alpha",)),
        ("elas-sas", "hypermorph", "tissue", "elastic", ELASTIC),
        ("CIR-DM", "lapirn", "global", "diffusion", ("alpha",)),
        ("CSAIN", "lapirn", "map", "diffusion", ("alpha",)),
        ("CSAIN-elastic", "lapirn", "map", "elastic", ELASTIC),
    ],
)
def test_published_models(name, backbone, conditioning, regulariser, hyper):
    spec = SPECS[name]
    assert (spec.name, spec.backbone, spec.conditioning) == (name, backbone, conditioning)
    assert (spec.regulariser, spec.hyper) == (regulariser, hyper)


def test_there_are_eight():
    assert len(SPECS) == 8


def test_fixed_elasticity_is_a_scaled_literature_value():
    assert SPECS["elas-fixed"].fixed_elasticity == pytest.approx(
        [0.01 * value for value in LITERATURE["brock"]]
    )


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("elas-g", {"ndim": 4}, "expected 2 or 3"),
        ("elas-g", {"conditioning": "map"}, "hypermorph with map conditioning"),
        ("CSAIN", {"conditioning": "tissue"}, "lapirn with tissue conditioning"),
        ("elas-sas", {"tissues": ()}, "elas-sas without tissues"),
        ("elas-g", {"tissues": ("lung",)}, "a global model, with tissues"),
        ("elas-sas", {"tissues": ("lung", "lung")}, "every name once"),
        ("CSAIN", {"map_sigma_vox": -1.0}, "map_sigma_vox -1"),
        ("elas-g", {"map_sigma_vox": 1.0}, "map_sigma_vox 1"),
        ("diff-g", {"fixed_elasticity": (1.0, 1.0)}, "an elastic regulariser"),
        ("elas-g", {"integration_steps": -1}, "0 or more"),
    ],
)
def test_contradictions_are_refused(name, changes, message):
    with pytest.raises(InputError, match=message):
        replace(SPECS[name], **changes)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HyperMorphOptions(rank=0),
        lambda: HyperMorphOptions(encoder=(16, 32)),
        lambda: HyperMorphOptions(last=()),
        lambda: LapIRNOptions(blocks=0),
        lambda: LapIRNOptions(flow_range=0),
    ],
)
def test_impossible_options_are_refused(make):
    with pytest.raises(InputError, match="positive"):
        make()


@pytest.mark.parametrize("name", SPECS)
def test_table_round_trip(name):
    spec = SPECS[name]
    table = json.loads(json.dumps(spec_to_table(spec)))
    assert spec_from_table(table, "here") == spec


def test_table_needs_only_what_has_no_default():
    spec = spec_from_table({"name": "elas-g", "backbone": "hypermorph"}, "here")
    assert spec == ModelSpec("elas-g", HyperMorphOptions())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "here holds"),
        ({}, "here has backbone None; expected hypermorph or lapirn"),
        ({"name": "x", "backbone": ["lapirn"]}, "expected hypermorph or lapirn"),
        ({"backbone": "lapirn"}, "here lacks name"),
        ({"name": "x", "backbone": "lapirn", "colour": 1}, "an unknown colour"),
        ({"name": 1, "backbone": "lapirn"}, "here, name is 1; expected a text"),
        ({"name": "x", "backbone": "lapirn", "ndim": "3"}, "expected a whole number"),
        ({"name": "x", "backbone": "lapirn", "ndim": True}, "expected a whole number"),
        ({"name": "x", "backbone": "lapirn", "map_sigma_vox": None}, "expected a number"),
        ({"name": "x", "backbone": "lapirn", "tissues": "lung"}, "here, tissues is 'lung'"),
        ({"name": "x", "backbone": "lapirn", "fixed_elasticity": [1]}, "fixed_elasticity is"),
        ({"name": "x", "backbone": "lapirn", "regulariser": "tv"}, "diffusion or elastic"),
        ({"name": "x", "backbone": "lapirn", "options": {"rank": 4}}, "options has an unknown"),
        ({"name": "x", "backbone": "lapirn", "options": 3}, "here, options holds 3"),
        ({"name": "x", "backbone": "lapirn", "conditioning": "tissue"}, "here: lapirn with"),
    ],
)
def test_wrong_tables_are_refused(table, message):
    with pytest.raises(InputError, match=message):
        spec_from_table(table, "here")


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8))
def test_angles_have_constant_norm_and_keep_the_values(hyper):
    encoded = encode_angles(torch.tensor([hyper], dtype=torch.float64))[0]
    cos, sin = encoded.chunk(2)
    assert encoded.norm().item() == pytest.approx(math.sqrt(len(hyper)))
    assert (torch.atan2(sin, cos) * 2 / math.pi).tolist() == pytest.approx(hyper, abs=1e-6)


def test_paint_puts_each_tissue_where_it_is():
    painted = paint(
        torch.tensor([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]]), torch.tensor([[[[0, 2], [1, 2]]]])
    )
    expected = torch.tensor([[[[0.1, 0.5], [0.3, 0.5]], [[0.2, 0.6], [0.4, 0.6]]]])
    assert torch.equal(painted, expected)


def test_paint_broadcasts_labels_or_values():
    values, tissues = torch.rand(3, 4, 2), torch.randint(4, (3, 1, 4, 5, 6), dtype=torch.int32)
    one_map = paint(values, tissues[:1])
    one_set = paint(values[:1], tissues)
    for n in range(3):
        assert torch.equal(one_map[n : n + 1], paint(values[n : n + 1], tissues[:1]))
        assert torch.equal(one_set[n : n + 1], paint(values[:1], tissues[n : n + 1]))


def test_smoothed_map_keeps_constants_and_blurs_borders():
    tissues = (torch.arange(12) >= 6).int().expand(1, 1, 12, 12)
    same = paint(torch.full((1, 2, 1), 0.3), tissues, sigma_vox=0.8)
    step = paint(torch.tensor([[[0.0], [1.0]]]), tissues, sigma_vox=0.8)[0, 0, 6]
    assert torch.allclose(same, torch.tensor(0.3))
    assert torch.allclose(step + step.flip(0), torch.tensor(1.0))
    assert 0.05 < step[5] < 0.45


def test_gradient_of_a_map_reaches_each_tissue():
    values = torch.rand(1, 3, 2, requires_grad=True)
    paint(values, torch.tensor([[[[0, 1, 1, 2]]]])).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad[0, :, 0], torch.tensor([1.0, 2.0, 1.0]))


@pytest.mark.parametrize("index", [-1, 3])
def test_paint_refuses_a_tissue_without_values(index):
    with pytest.raises(InputError, match="expected 0 to 2"):
        paint(torch.rand(1, 3, 2), torch.tensor([[[[0, index]]]]))
