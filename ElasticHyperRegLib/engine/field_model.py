"""What answers a change of λ and μ, whatever computes the answer: a trained model or the solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ..types import Elasticity, Grid

if TYPE_CHECKING:
    import torch


class FieldModel(Protocol):
    """One prepared pair whose deformation depends on λ and μ alone.

    Attributes:
        grid: where the field lives; it covers the fixed image.
        tissues: tissues whose (λ, μ) it obeys; empty where there is one setting for everywhere.
        name: of what computes the field, as the record of a result names it.
    """

    @property
    def grid(self) -> Grid:
        """Where the field lives; it covers the fixed image."""

    @property
    def tissues(self) -> tuple[str, ...]:
        """Tissues whose (λ, μ) it obeys; empty where there is one setting for everywhere."""

    @property
    def name(self) -> str:
        """Of what computes the field, as the record of a result names it."""

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """The elastic part d of the map φ(x) = A(x + d(x)) under these values.

        Args:
            default: (λ, μ) of every tissue that ``tissues`` does not name.
            tissues: (λ, μ) by tissue name.

        Returns:
            d, (1, D, *grid.shape) RAS mm; the initial alignment A is not part of it.

        Raises:
            InputError: a tissue is not among those that it obeys.
        """
