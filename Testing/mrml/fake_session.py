"""A session that answers at once with fields known in closed form."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ElasticHyperRegLib import Displacement, Elasticity
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.estimation import Readouts, Sensitivity, Setting, readouts
from ElasticHyperRegLib.field import jacobian_determinant
from ElasticHyperRegLib.session import Answer


def field_of(values: Mapping[str, Elasticity], grid) -> torch.Tensor:
    """λ mm to the right and μ mm to the front, of the first tissue."""
    first = next(iter(values.values()))
    u_mm = torch.zeros(1, 3, *grid.shape)
    u_mm[:, 0], u_mm[:, 1] = first.lam, first.mu
    return u_mm


class FakeSession:
    """Answers in the caller's thread; ``gate`` holds long jobs until it is opened."""

    made: list[FakeSession] = []

    def __init__(self, fixed, moving, labels, model, device, inputs) -> None:
        self.fixed, self.labels, self.inputs = fixed, labels, inputs
        names = {} if labels is None else {**labels.names, 0: "background"}
        self.tissues = tuple(names[v] for v in (labels.present() if labels else ()))
        self.grid, self.initial = fixed.grid, np.eye(4)
        self.model_name, self.device = model, "cpu"
        self.notes: tuple[str, ...] = ("no GPU was found",)
        self.submitted: list[Mapping[str, Elasticity]] = []
        self.closed = threading.Event()
        self.gate = threading.Event()
        self.held: list[Callable[[], None]] = []
        self.hold = self.hold_sensitivity = False
        FakeSession.made.append(self)

    def answer(self, number: int, values, final: bool) -> Answer:
        u_mm = field_of(values, self.grid)
        return Answer(
            number,
            dict(values),
            "refined" if final else "preview",
            Displacement(u_mm, self.grid),
            jacobian_determinant(u_mm, self.grid),
            {"folds_fraction": 0.0},
            final,
            0.01,
        )

    def submit(self, values, on_result, on_error=None) -> int:
        self.submitted.append(values)
        number = len(self.submitted)

        def work() -> None:
            on_result(self.answer(number, values, False))
            on_result(self.answer(number, values, True))

        if self.hold:
            self.held.append(work)
        else:
            work()
        return number

    def estimate(self, objective, method, on_progress, cancelled, start, on_surface) -> Any:
        self.started_from = start
        on_progress("estimate", 0.5)
        on_surface("the first surface")
        self._wait(cancelled)
        return SimpleNamespace(
            elasticity={"everywhere": Elasticity(0.3, 0.3), "organ": Elasticity(0.2, 0.6)},
            warnings=("the surface is flat",),
            plausible=lambda: ["as good", "as good too"],
        )

    def sensitivity(self, settings, on_progress, cancelled) -> Any:
        self.compared = settings
        if self.hold_sensitivity:
            self._wait(cancelled)
        displacement, jacobian = (torch.rand(1, 1, *self.grid.shape) for _ in range(2))
        return Sensitivity(displacement, jacobian, self.grid, 2, {})

    def readouts(self, answer: Answer) -> Readouts:
        setting = Setting.read(dict(answer.elasticity))
        return readouts(answer.displacement.u_mm, self.grid, setting, self.labels)

    def register(self, values, progress, cancelled) -> Any:
        self._wait(cancelled)
        raise ValueError("this session cannot register")

    def cancel(self) -> None:
        self.held.clear()

    def close(self) -> None:
        self.closed.set()

    def _wait(self, cancelled) -> None:
        while not self.gate.wait(0.005):
            if cancelled():
                raise Cancelled("stopped")
