"""The solver on a grid that it can afford, warm-started, better and better.

L-BFGS from the field that is there: from a warm start it is done in some twenty passes, where the
descent of ``solver.solve``, made to cross valleys, begins with steps that are too long to improve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..engine.request import DEFAULT_ELASTICITY
from ..estimation.search import rounded
from ..field import mm_to_vox, to_grid, vox_to_mm
from ..grid import coarser, pyramid, resample, resize
from ..solver import Level, Problem, SolverOptions, solve
from ..solver.descent import has_settled
from ..solver.elastic_metric import ElasticMetric
from ..solver.settle import WINDOW, Energy, charged, passes, smoother, sum_and_slope
from ..types import Elasticity, Grid
from .implicit import Minimised
from .objective import LiveObjective, on_grid

BUDGET = 48**3
"""Voxels of the images that are compared: some 30 ms a pass on one core."""
EVERY = 3
"""Passes from one field to the next."""


@dataclass(frozen=True)
class Patience:
    """When refining ends.

    Args:
        gain: of the objective over ``WINDOW`` passes, so little that it has settled.
        passes: so many at most.
        ahead: whether a field may be overtaken as soon as it is shown; see ``settle.passes``.
    """

    gain: float
    passes: int
    ahead: bool = False


PATIENT = Patience(2e-5, 91, ahead=True)
HASTY = Patience(2e-4, 48)
"""For the many fields of an estimate, and on the way to a final one."""
EQUAL = Patience(0.0, 20)
"""For fields that are compared: all go as far, from one start."""


@dataclass(frozen=True, eq=False)
class Held:
    """A field as the solver holds it.

    Attributes:
        u_vox: (1, D, *field grid) in voxels of it, what the solver changes.
        detail_mm: what it leaves alone, (1, D, *grid.shape) mm: too fine for its grid.
    """

    u_vox: torch.Tensor
    detail_mm: torch.Tensor | None = None


class SolverField:
    """The field that minimises (1 − Λ − Γ)·NCC + W on a coarse grid.

    What ``fold_penalty`` charges is added.

    Args:
        problem: the pair at full resolution; its λ and μ are not looked at.
        grid: where fields are wanted.
        shares: tissue → its share in each voxel of ``images_grid(grid, budget)``; empty where
            one (λ, μ) holds everywhere.
        budget: voxels of the images that are compared, at most about that many.
        band: what borders that may slide leave of μ, (1, 1, *problem.fixed_grid.shape).
    """

    def __init__(
        self,
        problem: Problem,
        grid: Grid,
        shares: Mapping[str, torch.Tensor],
        budget: int = BUDGET,
        band: torch.Tensor | None = None,
    ) -> None:
        self.grid = grid
        self.tissues = tuple(shares)
        images = images_grid(grid, budget)
        self._problem = on_grid(problem, images)
        level = _level(problem.fixed_grid, images)
        every = torch.cat(list(shares.values()), dim=1) if shares else None
        here = None if band is None else resample(band, problem.fixed_grid, images)
        self._objective = LiveObjective(self._problem, level, every, here)
        self._metric = ElasticMetric(self.field_grid, self._problem.fixed)
        self._anchor: Held | None = None

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._problem.fixed.device

    @property
    def field_grid(self) -> Grid:
        """Where the solver's own unknowns live."""
        return self._objective.field_grid

    def anchor(self) -> Held:
        """A rough field under the default (λ, μ), found from nothing, large motion included."""
        if self._anchor is None:
            coarse, *_ = pyramid(self._problem.fixed_grid, 2)
            lam, mu = DEFAULT_ELASTICITY.lam, DEFAULT_ELASTICITY.mu
            problem = replace(on_grid(self._problem, coarse), lam=lam, mu=mu)
            options = SolverOptions.for_dimension(coarse.ndim)
            found = solve(problem, replace(options, levels=options.levels[:1]))
            self._anchor = Held(self.unknowns(found.u_mm, coarse))
        return self._anchor

    def values(
        self, default: Elasticity, tissues: Mapping[str, Elasticity]
    ) -> tuple[Elasticity, ...]:
        """(λ, μ) of each of ``tissues``, or the one for everywhere."""
        return tuple(tissues.get(name, default) for name in self.tissues) or (default,)

    def hold(self, d_mm: torch.Tensor) -> Held:
        """A field found elsewhere, (1, D, *grid.shape) RAS mm, as the solver holds it."""
        u_vox = self.unknowns(d_mm, self.grid)
        return Held(u_vox, d_mm - self.field(Held(u_vox)))

    def unknowns(self, d_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
        """d (1, D, *grid.shape) RAS mm at the solver's own nodes, in voxels of these."""
        return mm_to_vox(to_grid(d_mm, grid, self.field_grid), self.field_grid)

    def field(self, held: Held) -> torch.Tensor:
        """(1, D, *grid.shape) RAS mm."""
        d_mm = resize(vox_to_mm(held.u_vox, self.field_grid), self.grid.shape)
        return d_mm if held.detail_mm is None else d_mm + held.detail_mm

    @torch.no_grad()
    def better(self, candidates: Sequence[Held], values: Sequence[Elasticity]) -> Held:
        """The candidate of the lowest objective."""
        if len(candidates) == 1:
            return candidates[0]
        objective = self._objective.at(values)
        return min(candidates, key=lambda held: float(charged(objective, held.u_vox)))

    def refine(
        self,
        held: Held,
        values: Sequence[Elasticity],
        check: Callable[[], None] = lambda: None,
        patience: Patience = PATIENT,
    ) -> Iterator[tuple[Held, bool]]:
        """Better and better fields, until the objective settles, and whether each is the last.

        Args:
            held: to start from.
            values: (λ, μ) of each of ``tissues``, or the one for everywhere.
            check: called at every pass; may raise to stop.
            patience: when it ends.
        """
        objective = self._objective.at(values).counting_from(held.u_vox)
        energy = self._checked(objective, check)
        found = passes(energy, held.u_vox, self._metric, _stiffness(values), patience.ahead)
        next(found)  # what is held already
        trace: list[torch.Tensor] = []
        better: Held | None = None
        for value, u_vox in itertools.islice(found, patience.passes):
            trace.append(value)
            better = Held(u_vox, held.detail_mm)
            if has_settled(trace, WINDOW, patience.gain) or len(trace) == patience.passes:
                yield better, True
                return
            if len(trace) % EVERY == 1:
                yield better, False
        if better is not None:  # no step brought more
            yield better, True

    def _checked(self, objective: LiveObjective, check: Callable[[], None]) -> Energy:
        """``objective``, where ``check`` is called before it is computed."""

        def energy(u_vox: torch.Tensor) -> torch.Tensor:
            check()
            return objective(u_vox)

        return energy

    def refined(
        self,
        held: Held,
        values: Sequence[Elasticity],
        check: Callable[[], None] = lambda: None,
        patience: Patience = PATIENT,
    ) -> Held:
        """The last and best of ``refine``."""
        for better, _ in self.refine(held, values, check, patience):
            held = better
        return held

    def minimised(
        self,
        start: Held,
        numbers: torch.Tensor,
        check: Callable[[], None],
        patience: Patience,
    ) -> tuple[torch.Tensor, Minimised]:
        """As ``refined`` under λ and μ (T, 2): u, and how the objective behaves about it."""
        rows = tuple(rounded(row) for row in numbers.tolist())
        objective = self._objective.at(rows).counting_from(start.u_vox)

        def slope(u_vox: torch.Tensor) -> torch.Tensor:
            return sum_and_slope(objective, u_vox)[1]()

        def share(u_vox: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                wanted = numbers.detach().requires_grad_()
                value = u_vox[0, 0].numel() * objective.at_numbers(wanted)(u_vox).sum()
                return torch.autograd.grad(value, wanted)[0]

        about = Minimised(slope, share, smoother(self._metric, _stiffness(rows)))
        return self.refined(start, rows, check, patience).u_vox.detach(), about


def images_grid(grid: Grid, budget: int) -> Grid:
    """``grid`` itself, or the coarser one over its extent of about ``budget`` voxels.

    The finest axes are made coarser first: thick slices stay until the pixels are as large.
    """
    if grid.voxels <= budget:
        return grid
    extent = np.asarray(grid.size) * np.asarray(grid.spacing)
    low, high = min(grid.spacing), float(extent.max())
    for _ in range(40):
        middle = (low + high) / 2
        fits = np.prod(extent / np.maximum(grid.spacing, middle)) <= budget
        low, high = (low, middle) if fits else (middle, high)
    return coarser(grid, tuple(np.maximum(grid.spacing, high)))


def _stiffness(values: Sequence[Elasticity]) -> float:
    """λ + 2μ, the mean over the tissues."""
    return sum(v.lam + 2 * v.mu for v in values) / len(values)


def _level(fixed: Grid, images: Grid) -> Level:
    """The level of the exact solver at about the resolution of ``images``."""
    levels = SolverOptions.for_dimension(fixed.ndim).levels
    halvings = round(math.log2(max(1.0, min(images.spacing) / min(fixed.spacing))))
    return levels[-1 - min(halvings, len(levels) - 1)]
