"""Overlap of tissues."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..types import LabelMap
from .regions import tissues


def dice(fixed_labels: LabelMap, warped_labels: LabelMap) -> dict[str, float]:
    """Dice 2|F∩W| / (|F|+|W|) of each tissue (label ≠ 0), by tissue name.

    A tissue that is absent in both maps has no key; one that is absent in one of them scores 0.

    Raises:
        InputError: the maps lie on different grids.

    Reference: Dice, Measures of the amount of ecologic association between species, 1945.
    """
    scores: dict[str, float] = {}
    for tissue in tissues(fixed_labels, warped_labels):
        fixed, warped = tissue.masks
        total = int(fixed.sum()) + int(warped.sum())
        scores[tissue.name] = 2 * int((fixed & warped).sum()) / total
    return scores


def mean_dice(scores: Mapping[str, float]) -> float:
    """Mean of what ``dice`` returned, every tissue alike; ``nan`` where there is no tissue."""
    return sum(scores.values()) / len(scores) if scores else math.nan
