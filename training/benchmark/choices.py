"""How λ and μ of a table's pairs are chosen, and whether the scored labels had a part in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from ElasticHyperRegLib.engine import RegistrationRequest
from ElasticHyperRegLib.engine.model import measured
from ElasticHyperRegLib.engine.request import DEFAULT_ELASTICITY
from ElasticHyperRegLib.estimation import Estimate, EstimateOptions, Evidence, Setting, estimate
from ElasticHyperRegLib.types import Elasticity
from ElasticHyperRegLib.weights import ModelCard, load_model

from .contenders import bound_fields

LABEL_FREE = "similarity"
DEFAULT_CHOSEN_ON = ("train", "val")
"""Splits of ACDC whose labels had a part in the choice of the program's default λ and μ."""
STEP = 0.1
"""Of the grid over λ and μ, as in the papers."""
Tick = Callable[[float], None]
"""Told the fraction done."""


@dataclass(frozen=True)
class Choice:
    """(λ, μ) of every pair.

    Attributes:
        settings: one a pair.
        parameters: how they were chosen, for the table.
        by_scored_labels: whether the labels that the table scores chose them.
    """

    settings: tuple[Setting, ...]
    parameters: str
    by_scored_labels: bool = False


class Wanted(NamedTuple):
    """How (λ, μ) of each pair are to be chosen.

    By ``dice``, on the labels that the table scores, as the papers do, or by a label-free
    objective, which begins at the one choice for all and stays near it.
    """

    objective: str
    start: Choice


def given_choice(card: ModelCard | None, setting: Setting, count: int) -> Choice:
    """The (λ, μ) that somebody asked for, for ``count`` pairs."""
    setting = _as_known(setting, card)
    tissues = [f"{name} {_text(value, card)}" for name, value in setting.tissues.items()]
    text = "; ".join([_text(setting.default, card), *tissues])
    return Choice((setting,) * count, f"given: {text}")


def global_choice(card: ModelCard | None, split: str, count: int) -> Choice:
    """One (λ, μ) for all pairs: the best of those in the card, or the program's default."""
    worth = {} if card is None else measured(card)
    if card is None or not worth:
        text = f"global: {_text(DEFAULT_ELASTICITY)}, the program's default"
        return Choice((Setting(DEFAULT_ELASTICITY),) * count, text, split in DEFAULT_CHOSEN_ON)
    best = max(worth, key=lambda value: worth[value])
    splits = ", ".join(card.metrics)
    text = f"global: {_text(best, card)}, the best on {splits} as the card says"
    return Choice((Setting(best),) * count, text, split in card.metrics)


def subject_choice(
    card: ModelCard,
    cases: Sequence[RegistrationRequest],
    device: torch.device,
    how: Wanted,
    tick: Tick = lambda fraction: None,
) -> Choice:
    """(λ, μ) of each pair, and of each tissue where the model obeys them, from a grid.

    Args:
        how: they are chosen.
    """
    by_labels = how.objective != LABEL_FREE
    options = EstimateOptions(
        how.objective, "grid", STEP, elasticity=how.start.settings[0].default, sweeps=0
    )
    settings = []
    for number, field in enumerate(bound_fields(load_model(card.folder), cases, device)):
        found = estimate(field, _evidence(cases[number], by_labels), options)
        chosen = _peaks(found) if by_labels else found.setting
        settings.append(_as_known(chosen if field.tissues else Setting(chosen.default), card))
        tick((number + 1) / len(cases))
    way = f"by {how.objective}, near the one for all where as good"
    if by_labels:
        each = ", each tissue by itself" if card.model.tissues else ""
        way = f"best {how.objective} on the scored labels{each}, as in the papers"
    different = len({(s.default, *sorted(s.tissues.items())) for s in settings})
    text = f"subject-wise: {way}; {different} different for {len(settings)} pairs"
    return Choice(tuple(settings), text, by_labels or how.start.by_scored_labels)


def _peaks(found: Estimate) -> Setting:
    """The highest score of each tissue, as published: what is as good does not count."""
    setting = replace(found.setting, default=found.surface().peak)
    for tissue in found.tissues:
        if any(surface.tissue == tissue for surface in found.surfaces):
            setting = setting.with_tissue(tissue, found.surface(tissue).peak)
    return setting


def _evidence(case: RegistrationRequest, labels: bool) -> Evidence:
    identity = np.eye(case.fixed.grid.ndim + 1)
    if labels:
        return Evidence.of(case, identity)
    return Evidence(fixed=case.fixed, moving=case.moving, initial=identity)


def _as_known(setting: Setting, card: ModelCard | None) -> Setting:
    """What a model of α sees of a setting: μ alone, which its refinement is given too."""
    if card is None or len(card.model.hyper) > 1:
        return setting
    seen = {n: Elasticity(0.0, value.lam + value.mu) for n, value in setting.tissues.items()}
    return Setting(Elasticity(0.0, setting.default.lam + setting.default.mu), seen)


def _text(value: Elasticity, card: ModelCard | None = None) -> str:
    if card is not None and len(card.model.hyper) == 1:
        return f"α {value.lam + value.mu:g}"
    return f"λ {value.lam:g}, μ {value.mu:g}"
