"""The tissue table: locks, undo, redo, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Elasticity, InputError
from ElasticHyperRegLib.materials import young_poisson
from ElasticHyperRegLib.mrml.settings import TissueSettings, TissueStart

BONE, LUNG = Elasticity(0.1, 0.8), Elasticity(0.05, 0.1)


def table() -> TissueSettings:
    return TissueSettings(
        (TissueStart("bone", (1, 2, 3), BONE), TissueStart("lung", (4, 5, 6), LUNG, False))
    )


def test_rows_tell_relative_moduli():
    bone, lung = table().rows
    assert (bone.young, lung.present, lung.color) == (1.0, False, (4, 5, 6))
    assert lung.young == pytest.approx(young_poisson(0.05, 0.1)[0] / young_poisson(0.1, 0.8)[0])
    assert lung.poisson == pytest.approx(0.05 / 0.3)


@given(st.floats(0, 1), st.booleans())
def test_a_locked_ratio_is_kept_inside_the_simplex(value, moves_lam):
    settings = table()
    settings.lock_ratio("lung", True)
    new = settings.move("lung", **{"lam" if moves_lam else "mu": value})
    assert new.lam * 2 == pytest.approx(new.mu, abs=1e-8)
    assert new.lam + new.mu <= 1 + 1e-9


@given(st.integers(1, 10), st.integers(0, 10), st.booleans(), st.sampled_from(["lam", "mu"]))
def test_the_most_of_a_row_is_the_end_of_its_slider(lam, mu, locked, weight):
    settings = table()
    settings.move("lung", lam / 20, mu / 20)
    settings.lock_ratio("lung", locked)
    row = settings.rows[1]
    most = row.most(weight)
    assert getattr(row, weight) <= most + 1e-9
    new = settings.move("lung", **{weight: most})
    assert getattr(new, weight) == pytest.approx(most)
    assert new.lam + new.mu == pytest.approx(1) or most == 0


def test_a_locked_ratio_survives_zero():
    settings = table()
    settings.lock_ratio("lung", True)
    settings.move("lung", lam=0.0)
    assert settings.elasticity["lung"] == Elasticity(0, 0)
    assert settings.move("lung", lam=0.2) == Elasticity(0.2, 0.4)
    settings.lock_ratio("lung", False)
    assert settings.move("lung", lam=0.1) == Elasticity(0.1, 0.4)


@pytest.mark.parametrize("move", [{"lam": 0.5}, {"mu": 1.2}, {"lam": 0.7, "mu": 0.7}])
def test_what_leaves_the_simplex_is_refused_and_changes_nothing(move):
    settings = table()
    with pytest.raises(InputError, match="λ"):
        settings.move("bone", **move)
    assert settings.elasticity["bone"] == BONE
    assert not settings.can_undo


def test_unknown_tissues_are_refused():
    for act in (table().move, table().reset, lambda name: table().lock_ratio(name, True)):
        with pytest.raises(InputError, match="a tissue 'heart'; expected one of bone, lung"):
            act("heart")


def test_a_new_move_forgets_what_was_undone():
    settings = table()
    settings.move("bone", mu=0.5)
    settings.undo()
    assert settings.can_redo
    settings.move("lung", mu=0.5)
    assert not settings.can_redo


def test_several_at_once_are_one_step():
    settings = table()
    settings.replace({"bone": LUNG, "lung": BONE})
    settings.replace({"bone": LUNG})  # changes nothing
    assert settings.undo()
    assert settings.elasticity == {"bone": BONE, "lung": LUNG}
    assert not settings.can_undo
