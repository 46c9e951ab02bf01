"""Where the deformation depends on the prior rather than on the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..engine.elasticity import EVERYWHERE
from ..engine.field_model import FieldModel
from ..engine.request import Progress
from ..errors import Cancelled, InputError
from ..field import jacobian_determinant, with_initial, world_points
from ..types import Grid, LabelMap
from .evidence import Evidence
from .place import Place
from .settings import Given, Setting


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Spread of the deformation over a set of plausible (λ, μ).

    Attributes:
        displacement_sd_mm: (1, 1, *grid.shape), √(mean |u − ū|²) over the settings.
        jacobian_sd: (1, 1, *grid.shape), standard deviation of det(I + ∇u).
        grid: of both.
        settings: how many settings were compared.
        means: tissue → ``displacement_sd_mm`` and ``jacobian_sd``, means over its voxels;
            ``everywhere`` is the whole grid.
    """

    displacement_sd_mm: torch.Tensor
    jacobian_sd: torch.Tensor
    grid: Grid
    settings: int
    means: dict[str, dict[str, float]]


class Spread:
    """Running mean and spread of tensors (1, C, *shape) over what is added; nothing is kept.

    Reference: Welford, Note on a method for calculating corrected sums of squares and products,
    Technometrics 4 (1962).
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, values: torch.Tensor) -> None:
        """Take one more sample into account."""
        self.count += 1
        if self.count == 1:
            self._mean = values.clone()
            self._squares = torch.zeros_like(values[:, :1])
            return
        before = values - self._mean
        self._mean += before / self.count
        self._squares += (before * (values - self._mean)).sum(1, keepdim=True)

    def deviation(self) -> torch.Tensor:
        """√(mean |x − x̄|²) over the samples, (1, 1, *shape)."""
        return (self._squares / self.count).clamp_min(0).sqrt()


def sensitivity(
    field: FieldModel,
    settings: Sequence[Setting | Given | Mapping[str, Given]],
    labels: LabelMap | None = None,
    initial: np.ndarray | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Sensitivity:
    """Voxel-wise spread of the whole map over ``settings``.

    Memory does not grow with the number of settings.

    Args:
        field: what answers a setting.
        settings: the plausible ones, such as ``Estimate.plausible()``.
        labels: tissues of the fixed image, for the means by tissue.
        initial: A, (D+1, D+1) RAS mm; the identity where it is missing.
        progress: told the fraction done.
        cancelled: asked before every field.

    Raises:
        InputError: fewer than two settings.
        Cancelled: ``cancelled`` said so.
    """
    if len(settings) < 2:
        raise InputError(
            f"{len(settings)} settings to compare", "two or more", "give a range of λ and μ"
        )
    displacement, jacobian = Spread(), Spread()
    for number, value in enumerate(settings):
        if cancelled and cancelled():
            raise Cancelled("the sensitivity map was cancelled")
        if progress:
            progress("sensitivity", number / len(settings))
        u_mm = _whole_map(field, Setting.read(value), initial)
        displacement.add(u_mm)
        jacobian.add(jacobian_determinant(u_mm, field.grid))
    if progress:
        progress("sensitivity", 1.0)
    spreads = {
        "displacement_sd_mm": displacement.deviation(),
        "jacobian_sd": jacobian.deviation(),
    }
    place = Place(field.grid, Evidence(fixed_labels=labels), u_mm.device)
    means = {key: place.by_tissue(values).tolist() for key, values in spreads.items()}
    by_name = {
        name: {key: values[row] for key, values in means.items()}
        for row, name in enumerate((EVERYWHERE, *place.names))
    }
    return Sensitivity(**spreads, grid=field.grid, settings=displacement.count, means=by_name)


def _whole_map(field: FieldModel, setting: Setting, initial: np.ndarray | None) -> torch.Tensor:
    """A(x + d(x)) − x, (1, D, *grid.shape) RAS mm."""
    with torch.no_grad():
        d_mm = field.displacement(setting.default, setting.tissues)
    if initial is None:
        return d_mm
    return with_initial(d_mm, world_points(field.grid, d_mm), initial)
