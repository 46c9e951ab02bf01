"""Gradients that are no numbers: one line in full precision, a step left out in 16 bits."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib.errors import InputError
from training.checkpoint import FILE, origin
from training.hardware import Hardware
from training.loop import Sources, fit
from training.place import Place
from training.state import TrainingState, begin

from .small_source import Discs
from .test_loop import config, run


@pytest.mark.parametrize("steps", range(1, 24))
def test_a_learning_rate_rises_and_falls_whatever_the_steps(tmp_path, steps):
    settings = config(steps=steps)
    state = begin(settings, Hardware("cpu").fabric(settings), tmp_path, {})
    rates = []
    for _ in range(steps):
        state.optimizer.step()
        rates.append(state.schedule.get_last_lr()[0])
        state.schedule.step()
    top = rates.index(max(rates))
    assert rates == sorted(rates[: top + 1]) + sorted(rates[top + 1 :], reverse=True)
    assert 0 < min(rates) <= max(rates) <= settings.optimisation.learning_rate


class Blown(torch.autograd.Function):
    """1 on the way forward, infinity on the way back."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] * float("inf")


def blown(total: torch.Tensor, setting: object) -> torch.Tensor:
    found: torch.Tensor = Blown.apply(total.mean())  # type: ignore[no-untyped-call]
    return found


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gradient_that_is_no_number_stops_the_run(tmp_path, monkeypatch, precision):
    monkeypatch.setattr("training.loop.equally_loud", blown)
    with pytest.raises(InputError, match="a gradient that is no number in step 1") as caught:
        run(config(precision=precision), tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / FILE).exists()


def sixteen(folder, scale: float) -> tuple[TrainingState, list[float]]:
    """A run in 16 bits whose scale of the gradients begins at ``scale``, and its scales."""
    settings = config(precision="16-mixed")
    fabric = Hardware("cpu").fabric(settings)
    state = begin(settings, fabric, folder, origin(settings, (), 1))
    scaler = state.precision.scaler  # type: ignore[attr-defined]
    scaler._init_scale = scale
    scales: list[float] = []
    place = Place(fabric, folder)
    fit(
        settings,
        Sources(Discs(), Discs()),
        state,
        place,
        lambda step, loss: scales.append(scaler.get_scale()),
    )
    return state, scales


def test_a_scale_too_large_leaves_a_step_out_and_is_halved(tmp_path):
    before = begin(config(), Hardware("cpu").fabric(config()), tmp_path, {}).network.state_dict()
    state, scales = sixteen(tmp_path, 2.0**127)
    assert state.step == 6
    assert scales == [2.0 ** (126 - n) for n in range(6)]
    assert all(torch.equal(t, before[name]) for name, t in state.network.state_dict().items())


def test_a_fitting_scale_trains(tmp_path):
    before = begin(config(), Hardware("cpu").fabric(config()), tmp_path, {}).network.state_dict()
    state, scales = sixteen(tmp_path, 2.0**10)
    assert set(scales) == {2.0**10}
    assert any(not torch.equal(t, before[name]) for name, t in state.network.state_dict().items())


def test_a_gradient_that_no_scale_helps_stops_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("training.loop.equally_loud", blown)
    with pytest.raises(InputError, match="a gradient that is no number in step 4"):
        sixteen(tmp_path, 4.0)
