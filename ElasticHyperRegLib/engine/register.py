"""From a request to a result: the one place where a pair is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..errors import Cancelled
from ..field import inverse_map, jacobian_determinant, with_initial, world_points
from ..solver import Solution, SolverOptions, solve
from ..types import Displacement
from .check import check_request, pick_device
from .elasticity import used_elasticity
from .outcome import outcome
from .prepare import Prepared, initial_alignment, prepare, problem_of
from .report import measures, peak_memory_mib, regularity
from .request import (
    Progress,
    RegistrationOptions,
    RegistrationRequest,
    RegistrationResult,
)

STEPS = {
    "prepare": (0.0, 0.05),
    "initial": (0.05, 0.2),
    "refine": (0.2, 0.85),
    "measure": (0.85, 1),
}
"""Which part of a run each step takes, roughly, for the progress."""


@dataclass
class _Run:
    """Progress, cancellation and the clock of one registration."""

    progress: Progress
    cancelled: Callable[[], bool]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[float], None]]:
        """Announce and time a step; what it is given tells how much of the step is done."""
        if self.cancelled():
            raise Cancelled("the registration was cancelled")
        first, last = STEPS[name]
        self.progress(name, first)
        start = perf_counter()
        yield lambda fraction: self.progress(name, first + fraction * (last - first))
        self.seconds[name] = perf_counter() - start
        self.progress(name, last)


def register(
    request: RegistrationRequest,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RegistrationResult:
    """Find the deformation of ``request`` and measure it.

    On one machine and device equal requests give equal fields; on the processor bit for bit.

    Args:
        request: images, labels, masks, landmarks, options.
        progress: called with the name of the step and the fraction done of all, 0 to 1.
        cancelled: asked often; true stops the run.

    Returns:
        The result, whose metrics hold what ``metrics.json`` needs but for the seconds of reading
        and writing.

    Raises:
        InputError: the request cannot be registered as it is; see ``check_request``.
        Cancelled: ``cancelled`` said so.
    """
    run = _Run(progress or (lambda step, fraction: None), cancelled or (lambda: False))
    begin = perf_counter()
    with run.step("prepare"):
        check_request(request)
        device = pick_device(request.options.device)
        prepared = prepare(request)
    with run.step("initial"):
        initial = initial_alignment(request, prepared, run.cancelled)
    with run.step("refine") as done:
        problem = problem_of(prepared, initial, device)
        settings = solver_settings(request.options, problem.fixed_grid.ndim)
        solution = solve(problem, settings, progress=done, cancelled=run.cancelled)
        d_mm = solution.u_mm.detach().cpu()
    with run.step("measure"):
        result = _result(request, prepared, initial, d_mm, solution.stopped)
    run.seconds["total"] = perf_counter() - begin
    facts = _facts(request, device, solution) | {"seconds": run.seconds} | peak_memory_mib()
    return replace(result, metrics=result.metrics | facts)


def solver_settings(options: RegistrationOptions, ndim: int) -> SolverOptions:
    """Settings of the solver; ``refine`` limits the iterations on the finest level."""
    settings = SolverOptions.for_dimension(ndim)
    if options.refine is None:
        return settings
    *coarse, finest = settings.levels
    return replace(settings, levels=(*coarse, replace(finest, iterations=options.refine)))


def _result(
    request: RegistrationRequest,
    prepared: Prepared,
    initial: np.ndarray,
    d_mm: torch.Tensor,
    stopped: str,
) -> RegistrationResult:
    """The whole map, its inverse and what they make of the images, measured."""
    fixed, moving = request.fixed.grid, request.moving.grid
    u_mm = with_initial(d_mm, world_points(fixed, d_mm), initial)
    displacement = Displacement(u_mm, fixed)
    inverse = Displacement(inverse_map(d_mm, fixed, initial, moving), moving)
    jacobian = jacobian_determinant(u_mm, fixed)
    side, labels = prepared.moving, request.moving_labels
    before = outcome(side, labels, torch.zeros_like(u_mm), fixed)
    after = outcome(side, labels, u_mm, fixed)
    found = measures(request, prepared.fixed, before, after, u_mm)
    return RegistrationResult(
        request=request,
        initial=initial,
        displacement=displacement,
        inverse=inverse,
        warped=after.warped,
        warped_labels=after.labels,
        jacobian=jacobian,
        metrics=found | regularity(jacobian, displacement, inverse),
        stopped=stopped,
    )


def _facts(
    request: RegistrationRequest, device: torch.device, solution: Solution
) -> dict[str, Any]:
    """How the result came about."""
    return {
        "elasticity": used_elasticity(request),
        "model": "none" if request.options.model == "none" else "none (no trained model fits)",
        "device": device.type,
        "objective": {
            "before": solution.traces[-1][0],
            "after": float(solution.value.mean()),
        },
        "stopped": solution.stopped,
        "version": __version__,
    }
