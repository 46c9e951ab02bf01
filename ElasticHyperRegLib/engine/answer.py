"""The deformation of an aligned pair under its λ and μ: network, solver, and what they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..field import inverse_map, jacobian_determinant, to_grid, with_initial, world_points
from ..similarity import MIND
from ..solver import Problem, Solution, is_far_off, solve
from ..types import Displacement, Elasticity, Grid
from ..weights import ModelCard, load_model
from .arithmetic import wait_for
from .elasticity import coefficients, one_setting, slip, used_elasticity
from .model import ModelChoice
from .network_field import NetworkField
from .outcome import outcome
from .prepare import Prepared, initial_alignment, prepare, problem_of
from .report import measures, regularity
from .request import AUTO, NONE, RegistrationRequest, RegistrationResult
from .run import Run
from .solver_settings import solver_settings

NO_MODEL_FITS = "none (no trained model fits)"
NOT_REFINED = "not refined"
FAR_OFF = "the answer of {} was far off"


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """What of a registration does not depend on λ and μ.

    Attributes:
        prepared: both images made ready.
        initial: A, (D+1, D+1) RAS mm, fixed → moving points.
        device: where to compute.
    """

    prepared: Prepared
    initial: np.ndarray
    device: torch.device

    @property
    def grid(self) -> Grid:
        """Of the fixed image."""
        return self.prepared.fixed.image.grid


FieldOf = Callable[[ModelCard, RegistrationRequest, AlignedPair], NetworkField]
"""Binds a model to a pair, or gives back what was bound before."""


def align_pair(request: RegistrationRequest, device: torch.device, run: Run) -> AlignedPair:
    """Prepare and align the images of a request that has been checked.

    Raises:
        InputError: a mask shows nothing, or the images do not overlap.
        Cancelled: ``run`` was cancelled.
    """
    with run.step("prepare"):
        prepared = prepare(request)
    with run.step("initial"):
        initial = initial_alignment(request, prepared, run.cancelled)
    return AlignedPair(prepared, initial, device)


def bind_model(card: ModelCard, request: RegistrationRequest, pair: AlignedPair) -> NetworkField:
    """Load a model and bind it to the pair.

    Raises:
        InputError: the weights are not those of the card.
    """
    model = load_model(card.folder)
    return NetworkField(model, pair.prepared, pair.initial, request.fixed_labels, pair.device)


def answer(
    request: RegistrationRequest,
    pair: AlignedPair,
    choice: ModelChoice,
    field_of: FieldOf,
    run: Run,
) -> RegistrationResult:
    """Register ``pair`` with the λ and μ of ``request``, and measure it.

    Args:
        request: its images are those of ``pair``.
        pair: made ready.
        choice: what ``model_choice`` says of ``request``.
        field_of: called where a model was chosen.
        run: told of the steps ``network``, ``refine`` and ``measure``.

    Raises:
        Cancelled: ``run`` was cancelled.
    """
    field, start, solution = None, None, None
    if choice.card is not None:
        with run.step("network"):
            field = field_of(choice.card, request, pair)
            start = Displacement(_network_answer(request, field), field.grid)
            wait_for(start.u_mm.device)
            if request.options.refine == 0:
                start = Displacement(to_grid(start.u_mm, start.grid, pair.grid), pair.grid)
    if start is None or request.options.refine != 0:
        with run.step("refine") as done:
            problem = problem_of(pair.prepared, coefficients(request), pair.initial, pair.device)
            if choice.card and start and _far_off(request, problem, start, run):
                choice, field, start = _left(choice.card.name), None, None
            settings = solver_settings(request.options, pair.grid.ndim, choice.card)
            solution = solve(problem, settings, start, done, run.cancelled)
            start = Displacement(solution.u_mm, pair.grid)
    d_mm = start.u_mm.detach().cpu()
    with run.step("measure"):
        result = _result(request, pair, d_mm, run.check)
    facts = _facts(request, pair, choice, field) | _solver_facts(solution)
    return replace(result, metrics=result.metrics | facts, stopped=facts["stopped"])


def _network_answer(request: RegistrationRequest, field: NetworkField) -> torch.Tensor:
    everywhere = one_setting(request)
    if everywhere is not None:
        return field.displacement(everywhere, {})
    values = {name: Elasticity(*value) for name, value in used_elasticity(request).items()}
    return field.displacement(request.options.elasticity, values)


def _far_off(request: RegistrationRequest, problem: Problem, start: Displacement, run: Run) -> bool:
    """Whether ``auto`` had better not have taken the model that answered ``start``."""
    asked = request.options.model == AUTO
    return asked and is_far_off(problem, start, lambda fraction: run.check())


def _left(name: str) -> ModelChoice:
    """The choice of a model whose answer is not used."""
    return ModelChoice(None, FAR_OFF.format(name), left=True)


def _result(
    request: RegistrationRequest, pair: AlignedPair, d_mm: torch.Tensor, check: Callable[[], None]
) -> RegistrationResult:
    """The whole map, its inverse and what they make of the images, measured.

    ``check`` is called often, as large images take long, and may raise to stop.
    """
    fixed, moving = request.fixed.grid, request.moving.grid
    u_mm = with_initial(d_mm, world_points(fixed, d_mm), pair.initial)
    displacement = Displacement(u_mm, fixed)
    inverse = Displacement(inverse_map(d_mm, fixed, pair.initial, moving, check), moving)
    jacobian = jacobian_determinant(u_mm, fixed)
    side, labels = pair.prepared.moving, request.moving_labels
    check()
    before = outcome(side, labels, torch.zeros_like(u_mm), fixed)
    check()
    after = outcome(side, labels, u_mm, fixed)
    found: dict[str, Any] = {}
    for figures in measures(request, pair.prepared, before, after, u_mm, pair.initial):
        check()
        found |= figures
    if slipped := slip(request, d_mm):
        found["sliding"] = slipped
    found |= regularity(jacobian, displacement, inverse)
    check()
    return RegistrationResult(
        request=request,
        initial=pair.initial,
        displacement=displacement,
        inverse=inverse,
        warped=after.warped,
        warped_labels=after.labels,
        jacobian=jacobian,
        metrics=found,
        stopped=NOT_REFINED,
    )


def _facts(
    request: RegistrationRequest,
    pair: AlignedPair,
    choice: ModelChoice,
    field: NetworkField | None,
) -> dict[str, Any]:
    """How the result came about."""
    facts = {
        "elasticity": used_elasticity(request),
        "similarity": pair.prepared.similarity,
        "device": pair.device.type,
        "version": __version__,
    }
    if request.options.model == NONE:
        return {**facts, "model": NONE}
    if field is None or choice.card is None:
        across = pair.prepared.similarity == MIND
        told = f"none ({choice.reason})" if across or choice.left else NO_MODEL_FITS
        return {**facts, "model": told, "model_choice": choice.reason}
    reasons = [choice.reason, field.note] if field.note else [choice.reason]
    named = {"model": field.name, "model_sha256": choice.card.sha256}
    return {**facts, **named, "model_choice": "; ".join(reasons)}


def _solver_facts(solution: Solution | None) -> dict[str, Any]:
    if solution is None:
        return {"stopped": NOT_REFINED}
    objective = {"before": solution.traces[-1][0], "after": float(solution.value.mean())}
    return {"objective": objective, "stopped": solution.stopped}
