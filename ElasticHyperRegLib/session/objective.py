"""The solver's objective for one pair on one grid, where λ and μ of each tissue change at will.

All that hangs on the images alone is computed once. Λ and Γ are linear in the values of the
tissues, Λ = Σₜ λₜ wₜ and Γ = b Σₜ μₜ wₜ with wₜ the share of tissue t in each voxel and b what a
border that may slide leaves of the resistance to shear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import torch

from ..energies import Coefficient
from ..engine.elasticity import tissue_names
from ..grid import resample
from ..solver import Level, Problem, field_grid, matching_grid
from ..solver.objective import Objective
from ..types import Elasticity, Grid, LabelMap


class LiveObjective(Objective):
    """E(u) of a pair where its images lie; ``at`` gives it for other (λ, μ) at hardly any cost.

    Args:
        problem: the pair, as ``on_grid`` gives it; its λ and μ are not looked at.
        level: which window, and how much coarser the field is than the images.
        shares: of each tissue in each voxel, (1, T, *problem.fixed_grid.shape); ``None`` where
            one (λ, μ) holds everywhere.
        band: b, (1, 1, *problem.fixed_grid.shape); ``None`` where no border slides.
    """

    def __init__(
        self,
        problem: Problem,
        level: Level,
        shares: torch.Tensor | None,
        band: torch.Tensor | None = None,
    ) -> None:
        grid = problem.fixed_grid
        coarse = field_grid(grid, level)
        super().__init__(replace(problem, lam=0.0, mu=0.0), grid, coarse, level.window, boxed=True)
        self._image_shares = None if shares is None else self.boxed(shares)
        self._field_shares = None if shares is None else resample(shares, grid, coarse)
        self._image_band = None if band is None else self.boxed(band)
        self._field_band = None if band is None else resample(band, grid, coarse)
        self._check: Callable[[], None] | None = None

    def at(self, values: Sequence[Elasticity]) -> LiveObjective:
        """The same objective under other values: one for each tissue, or one for everywhere."""
        if self._image_shares is None:
            everywhere = values[0].lam, values[0].mu
            return self._under(everywhere, everywhere)
        return self.at_numbers(self._image_shares.new_tensor([[v.lam, v.mu] for v in values]))

    def at_numbers(self, values: torch.Tensor) -> LiveObjective:
        """The same under λ and μ (T, 2), or (1, 2) for everywhere, that may carry a gradient."""
        return self._under(
            _painted(values, self._field_shares, self.field_grid.shape),
            _painted(values, self._image_shares, self._shape),
        )

    def interrupted_by(self, check: Callable[[], None]) -> LiveObjective:
        """The same, where ``check`` is called several times on the way to a value and back.

        Its gradient calls it from the thread that computes it, which on some devices is another.
        """
        fresh = copy(self)
        fresh._check = check
        return fresh

    def _positions(self, u_vox: torch.Tensor) -> torch.Tensor:
        return self._passed_on(super()._positions(u_vox))

    def _sample(self, data: torch.Tensor, positions: torch.Tensor, mode: str) -> torch.Tensor:
        return self._passed_on(super()._sample(data, positions, mode))

    def _passed_on(self, data: torch.Tensor) -> torch.Tensor:
        if self._check is None:
            return data
        passed: torch.Tensor = _Checked.apply(data, self._check)  # type: ignore[no-untyped-call]
        return passed

    def _under(
        self, on_field: tuple[Coefficient, Coefficient], on_image: tuple[Coefficient, Coefficient]
    ) -> LiveObjective:
        """The same under λ and μ where the field and where the images lie."""
        fresh = copy(self)
        fresh.lam, fresh.mu = on_field[0], _softened(on_field[1], self._field_band)
        fresh.weight = 1 - on_image[0] - _softened(on_image[1], self._image_band)
        return fresh


class _Checked(torch.autograd.Function):
    """Data as it is; ``check`` is called on its way there and on its gradient's way back."""

    @staticmethod
    def forward(ctx: Any, data: torch.Tensor, check: Callable[[], None]) -> torch.Tensor:
        ctx.check = check
        check()
        return data.view_as(data)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.check()
        return gradients[0], None


def on_grid(problem: Problem, grid: Grid) -> Problem:
    """``problem`` with the fixed image on ``grid`` and the moving image about as coarse."""
    moving = problem.moving_grid
    moving_grid = matching_grid(moving, grid)

    def there(data: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
        return resample(data.float(), source, target)

    fixed_mask, moving_mask = problem.fixed_mask, problem.moving_mask
    return replace(
        problem,
        fixed=there(problem.fixed, problem.fixed_grid, grid),
        moving=there(problem.moving, moving, moving_grid),
        fixed_grid=grid,
        moving_grid=moving_grid,
        fixed_mask=None if fixed_mask is None else there(fixed_mask, problem.fixed_grid, grid),
        moving_mask=None if moving_mask is None else there(moving_mask, moving, moving_grid),
    )


def tissue_shares(
    labels: LabelMap, grid: Grid, check: Callable[[], None] = lambda: None
) -> dict[str, torch.Tensor]:
    """Tissue → its share in each voxel of ``grid``, (1, 1, *grid.shape); they add up to 1.

    ``check`` is called before each and may raise to stop.
    """
    names = tissue_names(labels)
    shares = {}
    for tissue in dict.fromkeys(names.values()):
        check()
        mine = [label for label, name in names.items() if name == tissue]
        here = torch.isin(labels.data, torch.tensor(mine, dtype=labels.data.dtype))
        shares[tissue] = resample(here.float(), labels.grid, grid)
    return shares


def _painted(
    values: torch.Tensor, shares: torch.Tensor | None, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Λ and Γ, (1, 1, *shape) each."""
    if shares is None:
        maps = values.view(2, 1, *[1] * len(shape)).expand(2, 1, *shape)
    else:
        maps = torch.einsum("th,nt...->hn...", values, shares)
    return maps[0][:, None], maps[1][:, None]


def _softened(mu: Coefficient, band: torch.Tensor | None) -> Coefficient:
    return mu if band is None else mu * band
