"""Presets against the literature they name, and the slider scale against its promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.materials import young_poisson
from ElasticHyperRegLib.tissues import (
    normalised,
    presets,
    relative_moduli,
    slider_to_value,
    value_to_slider,
)

LITERATURE = {
    "brain-hartmann": (12483.3, 25.0, 499.322),
    "brain-kumaresan": (540.8, 22.5, 24.035),
    "lung-lai-fook": (45.33, 8.0, 5.667),
    "lung-brock": (15.51, 1.72, 9.017),
}
STEPS = st.integers(0, 1000)
LARGEST = st.floats(1e-3, 1.0)


@pytest.mark.parametrize("name", LITERATURE)
def test_published_moduli_keep_their_ratio(name):
    lam, mu, ratio = LITERATURE[name]
    preset = presets()[name]
    assert preset.literature == (lam, mu)
    assert preset.elasticity.lam / preset.elasticity.mu == pytest.approx(ratio, rel=5e-4)
    tissue = presets()[name.partition("-")[0]].elasticity
    weight = preset.elasticity.lam + preset.elasticity.mu
    assert weight == pytest.approx(tissue.lam + tissue.mu)


def test_hints_tell_the_ratio_and_what_was_measured():
    known = presets()
    assert known["lung"].hint.startswith("λ/μ 0.333; ")
    for preset in known.values():
        assert preset.hint.endswith(preset.source)
        if preset.literature is not None:
            lam, mu = preset.literature
            assert f"λ/μ {lam / mu:.3g} as measured, λ {lam:g} and μ {mu:g}" in preset.hint


def test_every_preset_names_its_source():
    assert all(preset.source and preset.title for preset in presets().values())
    published = {name for name, preset in presets().items() if preset.literature}
    assert published == set(LITERATURE)


def test_tissues_are_ranked_from_soft_to_stiff():
    order = ["background", "fluid", "lung", "soft-tissue", "liver", "bone"]
    moduli = relative_moduli({name: presets()[name].elasticity for name in order})
    young = [moduli[name][0] for name in order]
    assert young == sorted(young)
    assert young[-1] == 1.0
    assert all(0 <= poisson < 0.5 for _, poisson in moduli.values())


def test_the_lung_preset_is_what_was_tried():
    assert presets()["lung"].elasticity == Elasticity(0.1, 0.3)


def test_relative_moduli_are_those_of_the_material():
    moduli = relative_moduli({"a": Elasticity(0.1, 0.3), "b": Elasticity(0.2, 0.6)})
    assert moduli["a"] == pytest.approx((0.5, 0.125))
    assert moduli["b"] == pytest.approx((1.0, 0.125))
    assert relative_moduli({"a": Elasticity(0, 0)}) == {"a": (0.0, 0.0)}
    assert relative_moduli({}) == {}


@given(lam=st.floats(0, 1e6), mu=st.floats(1e-3, 1e6), weight=st.floats(0.01, 1))
def test_normalising_keeps_poisson_and_sets_the_weight(lam, mu, weight):
    value = normalised(lam, mu, weight)
    assert value.lam + value.mu == pytest.approx(weight, abs=1e-11)
    expected = young_poisson(lam, mu)[1]
    assert young_poisson(value.lam, value.mu)[1] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("given_", [(-1, 1, 0.5), (0, 0, 0.5), (1, 1, 1.5), (math.nan, 1, 0.5)])
def test_what_cannot_be_normalised_is_refused(given_):
    with pytest.raises(InputError, match="expected parameters that are not negative"):
        normalised(*given_)


@given(step=STEPS, most=LARGEST)
def test_slider_steps_come_back_exactly(step, most):
    position = step / 1000
    value = slider_to_value(position, most)
    assert 0 <= value <= most
    assert value_to_slider(value, most) == position


def test_all_steps_of_the_whole_slider_come_back_exactly():
    positions = [step / 1000 for step in range(1001)]
    values = [slider_to_value(position) for position in positions]
    assert [value_to_slider(value) for value in values] == positions
    assert all(low < high for low, high in zip(values, values[1:], strict=False))


@given(value=st.floats(0, 1), most=LARGEST)
def test_values_come_back_closely(value, most):
    value *= most
    assert slider_to_value(value_to_slider(value, most), most) == pytest.approx(value, abs=1e-8)


@given(a=st.floats(0, 1), b=st.floats(0, 1))
def test_more_slider_is_more_weight(a, b):
    if a < b:
        assert slider_to_value(a) <= slider_to_value(b)


@pytest.mark.parametrize("most", [1.0, 0.7, 0.0])
def test_ends_and_middle_are_exact(most):
    assert slider_to_value(0, most) == 0
    assert slider_to_value(1, most) == most
    assert slider_to_value(0.5, most) == pytest.approx(most / 2, abs=1e-15)
    assert value_to_slider(0, most) == 0


def test_equal_steps_multiply_the_regularisation_against_the_images_alike():
    values = [slider_to_value(step / 10) for step in range(11)]
    odds = [(value + 0.01) / (1 - value + 0.01) for value in values]
    factors = [high / low for low, high in zip(odds, odds[1:], strict=False)]
    assert factors == pytest.approx([101**0.2] * 10)


@pytest.mark.parametrize("position", [-0.1, 1.1, math.nan])
def test_positions_outside_the_slider_are_refused(position):
    with pytest.raises(InputError, match="slider position .*; expected a number from 0 to 1"):
        slider_to_value(position)


@pytest.mark.parametrize(("value", "most"), [(-0.1, 1), (0.8, 0.7), (math.nan, 1), (0.5, 1.5)])
def test_weights_outside_the_slider_are_refused(value, most):
    with pytest.raises(InputError, match="expected a number from 0 to"):
        value_to_slider(value, most)
