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
    """u(λ, μ) ≈ u₀ + Σₜ (λₜ − λₜ₀) ∂u/∂λₜ + (μₜ − μₜ₀) ∂u/∂μₜ, as far as derivatives are known.

    Attributes:
        values: (λ₀, μ₀) of each tissue.
        slopes: number of the tissue → ∂u/∂λ and ∂u/∂μ.
    """

    values: tuple[Elasticity, ...]
    slopes: Mapping[int, tuple[torch.Tensor, torch.Tensor]]

    @property
    def complete(self) -> bool:
        """Whether every tissue's derivatives are known."""
        return len(self.slopes) == len(self.values)

    def foresee(self, base: torch.Tensor, values: Sequence[Elasticity]) -> torch.Tensor | None:
        """u under ``values``, with u₀ = ``base``; ``None`` where a derivative is not known yet."""
        for number, (new, old) in enumerate(zip(values, self.values, strict=True)):
            if new == old:
                continue
            if number not in self.slopes:
                return None
            by_lam, by_mu = self.slopes[number]
            base = base + (new.lam - old.lam) * by_lam + (new.mu - old.mu) * by_mu
        return base


def tangents(
    values: Sequence[Elasticity],
    respond: Callable[[Sequence[Elasticity]], torch.Tensor],
    order: Iterable[int],
    before: Mapping[int, tuple[torch.Tensor, torch.Tensor]] = MappingProxyType({}),
) -> Iterator[Tangent]:
    """Derivatives of ``respond`` about ``values``, by one difference each, tissue after tissue.

    Args:
        values: (λ, μ) of each tissue.
        respond: the field under such values.
        order: in which tissues come, by number.
        before: derivatives about other values, which hold until a tissue's turn has come: a
            preview of some kind is better than none.
    """
    base = respond(values)
    slopes = dict(before)
    for number in order:
        value = values[number]
        pair = []
        for moved, step in (_along_lam(value), _along_mu(value)):
            there = [*values[:number], moved, *values[number + 1 :]]
            pair.append((respond(there) - base) / step if step else torch.zeros_like(base))
        slopes[number] = pair[0], pair[1]
        yield Tangent(tuple(values), dict(slopes))


def _along_lam(value: Elasticity) -> tuple[Elasticity, float]:
    step = _step(value.lam, value.mu)
    return Elasticity(value.lam + step, value.mu), step


def _along_mu(value: Elasticity) -> tuple[Elasticity, float]:
    step = _step(value.mu, value.lam)
    return Elasticity(value.lam, value.mu + step), step


def _step(moving: float, other: float) -> float:
    """A step that stays within λ, μ ≥ 0 and λ + μ ≤ 1; 0 in a corner where none does."""
    up, down = 1 - moving - other, moving
    step = min(STEP, up) if up >= min(STEP, down) else -min(STEP, down)
    return step if abs(step) >= SMALLEST_STEP else 0.0
