"""One number a tissue for every field: the weighted sum of the objectives."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..engine.elasticity import EVERYWHERE
from ..errors import InputError
from .place import Place
from .terms import TERMS


class Scorer:
    """Scores fields by what the evidence says.

    Args:
        place: where.
        weights: objective → weight.

    Attributes:
        tissues: those with evidence of their own.
        tolerance: scores that differ by less say the same.
        slack: score that is given up to stay near to where the search starts: the tolerance where
            all objectives are cautious (see ``Term``), else 0.
        statement: what the scores rest on.

    Raises:
        InputError: no tissue of the fixed labels shows on the field's grid, but overlap is asked.
    """

    def __init__(self, place: Place, weights: Mapping[str, float]) -> None:
        if {"dice", "soft-dice"} & set(weights) and not place.names:
            raise InputError(
                "fixed labels of which the field's grid shows nothing but 0",
                "labels that overlap the fixed image",
                "give those of the same scan",
            )
        self.place = place
        self._terms = [(weight, TERMS[name](place)) for name, weight in weights.items()]
        self.tolerance = sum(weight * term.tolerance for weight, term in self._terms)
        self.slack = self.tolerance if all(term.cautious for _, term in self._terms) else 0.0
        self.statement = "; ".join(term.statement() for _, term in self._terms)
        rest = torch.zeros(1, place.grid.ndim, *place.grid.shape, device=place.device)
        own = torch.stack([~term(rest).isnan() for _, term in self._terms]).any(0)
        self.tissues = tuple(
            name for name, has in zip(place.names, own[1:].tolist(), strict=True) if has
        )
        self.initial = self.named(self(rest))

    def tolerance_of(self, tissue: str) -> float:
        """Of the whole score where one tissue alone is changed: its share of each tolerance."""
        return sum(weight * term.tolerance * term.share(tissue) for weight, term in self._terms)

    def slack_of(self, tissue: str) -> float:
        """Likewise of the slack."""
        return self.tolerance_of(tissue) if self.slack else 0.0

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Scores (1 + len(place.names),): of the whole, then of each tissue.

        Where an objective tells nothing of a tissue, that of the whole stands in.
        """
        scores = [weight * self._filled(term(d_mm)) for weight, term in self._terms]
        return torch.stack(scores).sum(0)

    def named(self, scores: torch.Tensor) -> dict[str, float]:
        """``everywhere`` and tissue → score."""
        names = (EVERYWHERE, *self.place.names)
        return dict(zip(names, scores.tolist(), strict=True))

    def _filled(self, scores: torch.Tensor) -> torch.Tensor:
        return torch.where(scores.isnan(), scores[0], scores)
