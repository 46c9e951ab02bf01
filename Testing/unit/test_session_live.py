"""What answers start from, with a network and a solver that are stand-ins."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.estimation.settings import Setting
from ElasticHyperRegLib.session.live import Live
from ElasticHyperRegLib.session.solver_field import Held
from ElasticHyperRegLib.types import Elasticity

TISSUES = ("lung", "bone", "liver")
START = Setting(Elasticity(0.05, 0.15), {})


class Solver:
    """Keeps every field as it is."""

    grid = SimpleNamespace(ndim=2)
    tissues = TISSUES

    def values(self, default, tissues):
        return tuple(tissues.get(name, default) for name in TISSUES)

    def hold(self, d_mm):
        return Held(d_mm)

    def field(self, held):
        return held.u_vox

    def refine(self, held, values, check, patience):
        return iter(())


class Fields:
    """A network whose field is the sum of all λ and μ."""

    network, tissues, finishes = object(), TISSUES, False

    def __init__(self) -> None:
        self.solver: Any = Solver()
        self.asked = 0

    def guarded(self, work):
        return work()

    def network_answer(self, setting, check):
        self.asked += 1
        values = self.solver.values(setting.default, setting.tissues)
        return torch.tensor([sum(value.lam + value.mu for value in values)])


def turn(differences: int) -> Any:
    """A request that is overtaken after so many differences have been taken."""
    left = iter(range(differences))

    def give_way() -> None:
        if next(left, None) is None:
            raise Cancelled("a newer request came")

    return SimpleNamespace(
        check=lambda: None,
        give_way=give_way,
        waited_for=lambda: False,
        rest=lambda seconds: None,
    )


def live_with(fields: Any) -> Live:
    return Live(fields)


def answered(live: Live, setting: Setting, differences: int) -> list[str]:
    """Stages of the answers."""
    stages: list[str] = []
    with suppress(Cancelled):
        live.answer(setting, turn(differences), lambda stage, *_: stages.append(stage))
    return stages


def test_all_is_foreseen_in_the_end_though_every_request_is_overtaken(monkeypatch):
    monkeypatch.setattr("ElasticHyperRegLib.session.live.FRAME_S", 0.0)  # no network is quick
    fields = Fields()
    live = live_with(fields)
    for number in range(2 * len(TISSUES)):
        assert not live.foresees
        tissue = TISSUES[number % 2]
        answered(live, Setting(START.default, {tissue: Elasticity(0.01 * number, 0.3)}), 1)
    assert live.foresees
    assert fields.asked == 2 * 2 * len(TISSUES)  # an answer and a difference each
    assert answered(live, START, 0)[:2] == ["preview", "network"]


def test_after_a_quick_network_nothing_needs_to_be_foreseen():
    fields = Fields()
    live = live_with(fields)
    assert not live.foresees  # nobody knows yet how quick it is
    assert answered(live, START, 9) == ["network", "network"]
    assert (live.foresees, fields.asked) == (True, 1)


def test_what_was_foreseen_is_what_the_network_says(monkeypatch):
    monkeypatch.setattr("ElasticHyperRegLib.session.live.FRAME_S", 0.0)
    live = live_with(Fields())
    answered(live, START, 6)
    told: list[torch.Tensor] = []
    wanted = Setting(START.default, {"bone": Elasticity(0.1, 0.6)})
    live.answer(wanted, turn(6), lambda stage, d_mm, final: told.append(d_mm))
    assert float(told[0]) == pytest.approx(float(told[1]), abs=1e-6)
