"""Fields that are compared with each other: each hangs on its λ and μ alone.

Where one field went on from another, as live answers do, later ones would have come farther, and
even equal values would give fields that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from ..engine import FieldModel, NetworkField
from ..engine.request import NONE
from ..estimation import DifferentiableField, Setting
from ..field import to_grid
from ..types import Elasticity
from .fields import Fields
from .implicit import solution
from .solver_field import EQUAL, HASTY, Held, Patience, SolverField

Check = Callable[[], None]


class FromOne:
    """The solver's fields from one start, as a ``FieldModel``.

    Args:
        solver: that finds them.
        start: where each begins.
        patience: how far each goes.
        check: called at every pass; may raise to stop.
    """

    name = NONE

    def __init__(self, solver: SolverField, start: Held, patience: Patience, check: Check) -> None:
        self._solver, self._start = solver, start
        self._patience, self._check = patience, check
        self.grid, self.tissues = solver.grid, solver.tissues

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """d, (1, D, *grid.shape) RAS mm; see ``FieldModel.displacement``."""
        values = self._solver.values(default, tissues)
        return self._solver.field(
            self._solver.refined(self._start, values, self._check, self._patience)
        )

    def predict(self, values: torch.Tensor) -> torch.Tensor:
        """As ``displacement``, with a gradient; see ``estimation.DifferentiableField``."""
        found = solution(
            values,
            lambda numbers: self._solver.minimised(
                self._start, numbers, self._check, self._patience
            ),
        )
        return self._solver.field(Held(found))


class AfterNetwork:
    """A network's fields as the solver leaves them on the live images.

    Args:
        network: what each begins with.
        solver: goes on from it.
        patience: how far.
        check: called at every pass; may raise to stop.
    """

    def __init__(
        self, network: NetworkField, solver: SolverField, patience: Patience, check: Check
    ) -> None:
        self._network, self._solver = network, solver
        self._patience, self._check = patience, check
        self.name, self.grid, self.tissues = network.name, solver.grid, network.tissues

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """d, (1, D, *grid.shape) RAS mm; see ``FieldModel.displacement``."""
        d_mm = self._network.displacement(default, tissues, self._check)
        held = self._solver.hold(to_grid(d_mm, self._network.grid, self.grid))
        values = self._solver.values(default, tissues)
        return self._solver.field(self._solver.refined(held, values, self._check, self._patience))


def from_one(solver: SolverField, start: Setting, patience: Patience, check: Check) -> FromOne:
    """Fields that begin where the one under ``start`` has settled."""
    values = solver.values(start.default, start.tissues)
    return FromOne(solver, solver.refined(solver.anchor(), values, check), patience, check)


def scored(fields: Fields, start: Setting, check: Check) -> DifferentiableField:
    """What an estimate from ``start`` compares: the network's fields, or the solver's."""
    if fields.network is not None:
        return fields.network.exact
    return from_one(fields.solver, start, HASTY, check)


def answers(fields: Fields, start: Setting, patience: Patience, check: Check) -> FieldModel:
    """What a sensitivity map about ``start`` compares: settled answers, on the fields' grid.

    Finer images, which a field at rest is gone over with, would take as many times longer.
    """
    if fields.network is not None:
        return AfterNetwork(fields.network.exact, fields.solver, patience, check)
    return from_one(fields.solver, start, EQUAL, check)
