"""Where the deformation depends on the prior rather than on the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

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
        displacement_sd_mm: (1, 1, *grid.shape), √(Σ mean |u − ū|²) over the settings; the sum is
            over the tissues where each was moved alone.
        jacobian_sd: (1, 1, *grid.shape), likewise of det(I + ∇u).
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

    def variance(self) -> torch.Tensor:
        """Mean |x − x̄|² over the samples, (1, 1, *shape)."""
        return (self._squares / self.count).clamp_min(0)


def sensitivity(
    field: FieldModel,
    settings: Sequence[Setting | Given | Mapping[str, Given]],
    labels: LabelMap | None = None,
    initial: np.ndarray | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Sensitivity:
    """Voxel-wise spread of the whole map over ``settings``.

    Settings that differ from the first in one tissue's (λ, μ) alone are compared with it tissue by
    tissue, and the variances are added, as those of independent causes are: so the spread that a
    tissue makes hangs neither on how many others there are nor on how many settings each has.
    Memory does not grow with the number of settings.

    Args:
        field: what answers a setting.
        settings: the plausible ones, the usual one first, such as ``Estimate.plausible()``.
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
    first, *others = [Setting.read(value) for value in settings]
    done = count()

    def whole_map(setting: Setting) -> torch.Tensor:
        if cancelled and cancelled():
            raise Cancelled("the sensitivity map was cancelled")
        if progress:
            progress("sensitivity", next(done) / len(settings))
        return _whole_map(field, setting, initial)

    usual = whole_map(first)
    variances = [torch.zeros_like(usual[:, :1]) for _ in range(2)]
    for group in _by_moved_tissue(first, others):
        spreads = Spread(), Spread()
        for u_mm in (usual, *map(whole_map, group)):
            spreads[0].add(u_mm)
            spreads[1].add(jacobian_determinant(u_mm, field.grid))
        variances = [v + s.variance() for v, s in zip(variances, spreads, strict=True)]
    if progress:
        progress("sensitivity", 1.0)
    displacement, jacobian = (variance.sqrt() for variance in variances)
    means = _means(field.grid, (displacement, jacobian), labels)
    return Sensitivity(displacement, jacobian, field.grid, len(settings), means)


def _by_moved_tissue(first: Setting, others: Sequence[Setting]) -> list[list[Setting]]:
    """Settings by the tissue in which alone they differ from the first; the rest together."""
    groups: dict[str, list[Setting]] = {}
    for other in others:
        names = (EVERYWHERE, *first.tissues, *other.tissues)
        moved = {name for name in names if other.of(name) != first.of(name)}
        groups.setdefault(moved.pop() if len(moved) == 1 else "", []).append(other)
    return list(groups.values())


def _means(
    grid: Grid, found: Sequence[torch.Tensor], labels: LabelMap | None
) -> dict[str, dict[str, float]]:
    """As of ``Sensitivity``, of both of its maps."""
    place = Place(grid, Evidence(fixed_labels=labels), found[0].device)
    spreads = dict(zip(("displacement_sd_mm", "jacobian_sd"), found, strict=True))
    means = {key: place.by_tissue(values).tolist() for key, values in spreads.items()}
    return {
        name: {key: values[row] for key, values in means.items()}
        for row, name in enumerate((EVERYWHERE, *place.names))
    }


def _whole_map(field: FieldModel, setting: Setting, initial: np.ndarray | None) -> torch.Tensor:
    """A(x + d(x)) − x, (1, D, *grid.shape) RAS mm."""
    with torch.no_grad():
        d_mm = field.displacement(setting.default, setting.tissues)
    if initial is None:
        return d_mm
    return with_initial(d_mm, world_points(field.grid, d_mm), initial)
