"""How a field changes with λ and μ of each tissue, to first order: an answer within a frame.

The derivatives are differences of fields, each twenty passes of the solver or one of the network.
Forward-mode differentiation (``torch.func.jvp``) does not reach through either: PyTorch has no
forward derivative of ``grid_sample`` in 3D. A step of the size of a slider's movement foretells
that movement better than an infinitesimal one besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from ..types import Elasticity

STEP = 0.15
SMALLEST_STEP = 0.01


@dataclass(frozen=True, eq=False)
class Tangent:
    """u(p) ≈ u₀ + Σₙ (pₙ − pₙ₀) ∂u/∂pₙ over λ and μ of all tissues, as far as they are known.

    Attributes:
        values: (λ₀, μ₀) of each tissue.
        slopes: number of the parameter → ∂u/∂pₙ; λ of tissue t is number 2t, its μ 2t + 1.
    """

    values: tuple[Elasticity, ...]
    slopes: Mapping[int, torch.Tensor]

    @property
    def complete(self) -> bool:
        """Whether every derivative is known."""
        return len(self.slopes) == 2 * len(self.values)

    def foresee(self, base: torch.Tensor, values: Sequence[Elasticity]) -> torch.Tensor | None:
        """u under ``values``, with u₀ = ``base``; ``None`` where a derivative is not known yet."""
        pairs = zip(parameters(values), parameters(self.values), strict=True)
        for number, (new, old) in enumerate(pairs):
            if new == old:
                continue
            if number not in self.slopes:
                return None
            base = base + (new - old) * self.slopes[number]
        return base


def parameters(values: Sequence[Elasticity]) -> list[float]:
    """λ and μ of each tissue in a row."""
    return [number for value in values for number in (value.lam, value.mu)]


def tangents(
    values: Sequence[Elasticity],
    base: torch.Tensor,
    respond: Callable[[Sequence[Elasticity]], torch.Tensor],
    order: Iterable[int],
    before: Mapping[int, torch.Tensor] = MappingProxyType({}),
) -> Iterator[Tangent]:
    """Derivatives of ``respond`` about ``values``, by one difference each, one after the other.

    Args:
        values: (λ, μ) of each tissue.
        base: ``respond(values)``.
        respond: the field under such values.
        order: in which parameters come, by number.
        before: derivatives about other values, which hold until a parameter's turn has come: a
            preview of some kind is better than none.
    """
    slopes = dict(before)
    for number in order:
        there, step = _moved(values, number)
        slopes[number] = (respond(there) - base) / step if step else torch.zeros_like(base)
        yield Tangent(tuple(values), dict(slopes))


def _moved(values: Sequence[Elasticity], number: int) -> tuple[list[Elasticity], float]:
    """``values`` with one parameter a step away, and the step."""
    tissue, is_mu = divmod(number, 2)
    value = values[tissue]
    step = _step(value.mu, value.lam) if is_mu else _step(value.lam, value.mu)
    moved = Elasticity(value.lam + step * (not is_mu), value.mu + step * is_mu)
    return [*values[:tissue], moved, *values[tissue + 1 :]], step


def _step(moving: float, other: float) -> float:
    """A step that stays within λ, μ ≥ 0 and λ + μ ≤ 1; 0 in a corner where none does."""
    up, down = 1 - moving - other, moving
    step = min(STEP, up) if up >= min(STEP, down) else -min(STEP, down)
    return step if abs(step) >= SMALLEST_STEP else 0.0
