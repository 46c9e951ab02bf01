"""Who registers the pairs of a table: the solver, a trained model, a model and then the solver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch

from ElasticHyperRegLib.engine import NetworkField, RegistrationOptions, RegistrationRequest
from ElasticHyperRegLib.engine.elasticity import coefficients
from ElasticHyperRegLib.engine.prepare import prepare
from ElasticHyperRegLib.engine.solver_settings import solver_settings
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.estimation import Setting
from ElasticHyperRegLib.field import to_grid
from ElasticHyperRegLib.networks import RegistrationNetwork
from ElasticHyperRegLib.solver import Problem, SolverOptions, solve
from ElasticHyperRegLib.types import Displacement
from ElasticHyperRegLib.weights import ModelCard, find_model, load_model, read_card

from .score import Fields

SOLVER, REFINE = "solver", "+refine"
LoadedModel = tuple[RegistrationNetwork, ModelCard]


@dataclass(frozen=True)
class Contender:
    """What a name in ``--models`` asks for.

    Attributes:
        name: as it was given.
        card: of the model; ``None`` for the solver.
        refined: whether the solver goes on from the model.
    """

    name: str
    card: ModelCard | None
    refined: bool


def parse_contender(name: str) -> Contender:
    """``solver``, a model's name or folder, or that with ``+refine``.

    Raises:
        InputError: no such model, or one for intensities that the table's images do not have.
    """
    if name == SOLVER:
        return Contender(name, None, False)
    try:
        card = read_card(find_model(name.removesuffix(REFINE)))
    except InputError as error:
        wanted = "names as `models` lists them, each alone or with +refine"
        raise InputError(f"--models {name}: {error}", f"solver, all, or {wanted}") from error
    if card.expects.intensity_window is not None:
        raise InputError(
            f"the model '{card.name}', for intensities of {card.expects.intensity_window}",
            "one without a window: the table's images run from 0 to 1",
        )
    return Contender(name, card, name.endswith(REFINE))


def bound_fields(
    model: LoadedModel, cases: Sequence[RegistrationRequest], device: torch.device
) -> Iterator[NetworkField]:
    """A loaded model bound to one pair after the other, without an initial alignment."""
    for case in cases:
        identity = np.eye(case.fixed.grid.ndim + 1)
        yield NetworkField(model, prepare(case), identity, case.fixed_labels, device)


def register_cases(
    contender: Contender,
    cases: Sequence[RegistrationRequest],
    settings: Sequence[Setting],
    device: torch.device,
    refine: int | None = None,
) -> Fields:
    """Fields of all pairs, each with its own (λ, μ).

    One pair after the other, after a first that is not timed. Timed is what a registration does,
    from images and model in memory to the field; reading is not.

    Args:
        settings: one a case.
        refine: iterations of the solver on the finest level, at most.
    """
    ndim = cases[0].fixed.grid.ndim
    options = solver_settings(RegistrationOptions(refine=refine), ndim, contender.card)
    if contender.card is None:
        return _solved(cases, settings, options, None, device)
    found = _predicted(contender.card, cases, settings, device)
    if not contender.refined:
        return found
    refined = _solved(cases, settings, options, found.u_mm, device)
    return Fields(refined.u_mm, found.seconds + refined.seconds)


def _predicted(
    card: ModelCard,
    cases: Sequence[RegistrationRequest],
    settings: Sequence[Setting],
    device: torch.device,
) -> Fields:
    network, card = load_model(card.folder)
    model = network.to(device), card
    found, velocities = [], []
    warm = next(bound_fields(model, cases[:1], device))  # what a first call sets up is no pair's
    warm.displacement(settings[0].default, settings[0].tissues)
    seconds, begin = 0.0, perf_counter()
    for field, setting in zip(bound_fields(model, cases, device), settings, strict=True):
        grid = cases[0].fixed.grid
        d_mm = field.displacement(setting.default, setting.tissues)
        found.append(to_grid(d_mm, field.grid, grid).cpu())
        seconds += perf_counter() - begin
        velocity = field.velocity(setting.default, setting.tissues)
        velocities.append(to_grid(velocity, field.grid, grid).cpu())
        begin = perf_counter()
    return Fields(torch.cat(found), seconds / len(cases), torch.cat(velocities))


def _solved(
    cases: Sequence[RegistrationRequest],
    settings: Sequence[Setting],
    options: SolverOptions,
    start: torch.Tensor | None,
    device: torch.device,
) -> Fields:
    """The solver on the intensities that the pairs have.

    A registration would window them first; the table's pairs are windowed as published.
    """

    def solved(number: int) -> torch.Tensor:
        case = _with(cases[number], settings[number])
        images = (case.fixed.data.to(device), case.moving.data.to(device))
        lam, mu = (
            value.to(device) if isinstance(value, torch.Tensor) else value
            for value in coefficients(case)
        )
        problem = Problem(*images, case.fixed.grid, case.moving.grid, lam, mu)
        begun = None
        if start is not None:
            begun = Displacement(start[number : number + 1].to(device), case.fixed.grid)
        return solve(problem, options, begun).u_mm.cpu()

    solved(0)
    begin = perf_counter()
    found = torch.cat([solved(number) for number in range(len(cases))])
    return Fields(found, (perf_counter() - begin) / len(cases))


def _with(case: RegistrationRequest, setting: Setting) -> RegistrationRequest:
    options = replace(case.options, elasticity=setting.default, tissues=setting.tissues)
    return replace(case, options=options)
