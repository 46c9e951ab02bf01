"""Which trained model a request is answered with.

An explicit name is obeyed or refused. ``auto`` is careful, as a model shown what it was not
trained on gives a plausible wrong answer: it takes a model only where everything that can be known
about the scans agrees with its card, and the solver alone otherwise. Nothing but intensities is
known of the modality: CT is recognised by its air (``is_ct``), what is not CT is taken for
whatever a card other than CT names. Diffusion models and those with a fixed elasticity do not obey
λ and μ one by one: only their name chooses them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import log

import numpy as np

from ..errors import InputError
from ..similarity import MIND
from ..types import Elasticity, Grid
from ..weights import ModelCard, find_model, list_models, read_card
from .elasticity import one_setting, used_elasticity
from .intensity import is_ct
from .network_field import check_kind
from .network_grid import towards_ras
from .request import AUTO, NONE, RegistrationRequest
from .similarity import similarity_of

COARSEST = 2.0
"""Times the spacing of a model: coarser scans lack the detail that it was trained to see."""
SMALLEST_VIEW = 0.4
LARGEST_VIEW = 4.0
"""Of a scan, in fields of view of a model, along every axis."""
FOLDS_WEIGHT = 20.0
"""A hundredth of the voxels folded is as bad as 0.2 less of Dice."""
STACK = 3.0
"""Distance of slices, in spacings of a 2D model, from which a volume counts as a stack."""

_DICE = re.compile(r"dice at (?:([\d.]+) )?([\d.]+)")


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """Card of the chosen model, ``None`` for the solver alone, and why, in a few words.

    ``left``: a model was chosen, but its answer was far off and is not used.
    """

    card: ModelCard | None
    reason: str
    left: bool = False


def choose_model(request: RegistrationRequest) -> ModelCard | None:
    """Card of the model that ``request`` is answered with; ``None``: the solver alone.

    Raises:
        InputError: as ``model_choice``.
    """
    return model_choice(request).card


def model_choice(request: RegistrationRequest) -> ModelChoice:
    """The model that ``request`` is answered with, and why.

    Raises:
        InputError: no model of the name that was given; it is not for images of this dimension;
            it cannot obey different λ and μ for the tissues that were given them.
    """
    name = request.options.model
    if name == NONE:
        return ModelChoice(None, "the solver was asked for")
    if name == AUTO:
        return _best(request)
    card = read_card(find_model(name))
    check_kind(card, request.fixed.grid)
    fault = _tissue_fault(card, request)
    if fault:
        raise InputError(
            f"the model '{name}', which {fault}",
            "one that obeys what was asked",
            "choose another model, auto or none",
        )
    return ModelChoice(card, "its name was given")


def measured(card: ModelCard) -> dict[Elasticity, float]:
    """What a card says its settings are worth: (λ, μ) → Dice less 20 times the folds fraction.

    A card has it under ``dice at 0 0.05`` and ``folds at 0 0.05``; of a model with one weight α
    that is (0, α).
    """
    worth = {}
    for values in card.metrics.values():
        for key, dice in values.items():
            found = _DICE.fullmatch(key)
            if found:
                folds = values.get(key.replace("dice", "folds"), 0.0)
                setting = Elasticity(float(found[1] or 0), float(found[2]))
                worth[setting] = dice - FOLDS_WEIGHT * folds
    return worth


def _best(request: RegistrationRequest) -> ModelChoice:
    """The fitting model that obeys the tissues most directly, then one trained on images alone.

    Labels in training buy Dice, by which cards measure, with conditioning, which they do not.
    Then the best: one that looks more than once takes longer and is nearer to the solver.
    """
    if request.options.sliding:
        return ModelChoice(None, "no model knows borders that slide")
    if similarity_of(request) == MIND:
        return ModelChoice(None, "no model compares across modalities")
    cards = list_models()
    faults = [_fault(card, request) for card in cards]
    fitting = [card for card, fault in zip(cards, faults, strict=True) if not fault]
    if not fitting:
        reasons = "; ".join(f"{c.name} {f}" for c, f in zip(cards, faults, strict=True))
        return ModelChoice(None, reasons or "no model is installed")
    best = min(fitting, key=lambda card: (*_rank(card, request), card.name))
    return ModelChoice(best, _why(best, request))


def _rank(card: ModelCard, request: RegistrationRequest) -> tuple[float, ...]:
    """Smaller is better."""
    strangers = set(used_elasticity(request)) - set(card.model.tissues)
    uniform = one_setting(request) is not None
    order = ("global", "map", "tissue") if uniform else ("tissue", "map", "global")
    spacing = np.mean([abs(log(a / b)) for a, b in _spacings(card, request.fixed.grid)])
    worth = max(measured(card).values(), default=0.0)
    known = 0 if uniform else len(strangers)
    obeys = order.index(card.model.conditioning)
    labelled = card.training.supervision != "images"
    return known, obeys, round(float(spacing), 1), labelled, -worth


def _fault(card: ModelCard, request: RegistrationRequest) -> str:
    """Why ``auto`` does not take a model; empty where it fits."""
    if card.model.hyper != ("lambda", "mu"):
        return "does not take λ and μ"
    return (
        _grid_fault(card, request.fixed.grid)
        or _modality_fault(card, request)
        or _tissue_fault(card, request)
    )


def _grid_fault(card: ModelCard, fixed: Grid) -> str:
    ndim = card.model.ndim
    if ndim > fixed.ndim:
        return f"is for {ndim}D"
    if ndim < fixed.ndim and fixed.spacing[2] < STACK * max(card.expects.spacing_mm):
        return "is for slices far apart"
    if any(here > COARSEST * wanted for here, wanted in _spacings(card, fixed)):
        return f"expects {_times(card.expects.spacing_mm)} mm"
    for (here, wanted), size, expected in zip(
        _spacings(card, fixed), _oriented(card, fixed).size, card.expects.size, strict=False
    ):
        if not SMALLEST_VIEW <= here * size / (wanted * expected) <= LARGEST_VIEW:
            view = [s * n for s, n in zip(card.expects.spacing_mm, card.expects.size, strict=True)]
            return f"expects a field of view of {_times(view)} mm"
    return ""


def _modality_fault(card: ModelCard, request: RegistrationRequest) -> str:
    wanted = _for_ct(card)
    fits = all(is_ct(image) == wanted for image in (request.fixed, request.moving))
    return "" if fits else f"expects {card.expects.modality}"


def _tissue_fault(card: ModelCard, request: RegistrationRequest) -> str:
    """Why a model cannot obey the λ and μ of a request; empty where it can."""
    if one_setting(request) is not None or card.model.conditioning == "map":
        return ""
    if card.model.conditioning == "global":
        return "takes one λ and μ for everywhere"
    strangers = [name for name in used_elasticity(request) if name not in card.model.tissues]
    return f"does not know {', '.join(strangers)}" if strangers else ""


def _why(card: ModelCard, request: RegistrationRequest) -> str:
    """What the scans and the model have in common."""
    ndim, grid = card.model.ndim, request.fixed.grid
    kind = f"{ndim}D" if ndim == grid.ndim else "a stack of slices"
    obeys = {
        "global": "one λ and μ for everywhere",
        "map": "λ and μ by a map of the tissues",
        "tissue": "λ and μ of its tissues",
    }[card.model.conditioning]
    modality = card.expects.modality
    seen = modality if _for_ct(card) else f"no CT, taken for {modality}"
    return f"{kind}, {seen}, about {_times(card.expects.spacing_mm)} mm, {obeys}"


def _for_ct(card: ModelCard) -> bool:
    return card.expects.modality.upper().startswith("CT")


def _spacings(card: ModelCard, fixed: Grid) -> list[tuple[float, float]]:
    """Spacing of the scan and of the model along each axis of the model."""
    return list(zip(_oriented(card, fixed).spacing, card.expects.spacing_mm, strict=False))


def _oriented(card: ModelCard, fixed: Grid) -> Grid:
    """Volumes as the model sees them, see ``network_grid``."""
    return towards_ras(fixed) if card.model.ndim == 3 else fixed


def _times(values: tuple[float, ...] | list[float]) -> str:
    return "×".join(f"{v:.3g}" for v in values)
