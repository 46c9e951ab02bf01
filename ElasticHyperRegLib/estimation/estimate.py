"""Finds the (λ, μ) that suit one pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from ..engine.elasticity import EVERYWHERE
from ..engine.field_model import FieldModel
from ..engine.request import Progress
from ..types import Elasticity
from .differentiable import require_gradient
from .evidence import Evidence
from .options import EstimateOptions
from .place import Place
from .result import Estimate
from .scorer import Scorer
from .search import Listeners, Search
from .settings import Setting
from .surface import HELD, Surface

ONE_WEIGHT = "the model knows λ + μ alone, which is told in the ratio of where the search started"
APART = (
    "each tissue's choice rests on fields with one setting everywhere; the choices painted "
    "together have not been tried"
)


def estimate(
    field: FieldModel,
    evidence: Evidence,
    options: EstimateOptions | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    on_surface: Callable[[Surface], None] | None = None,
) -> Estimate:
    """Per-tissue (λ, μ) for one pair.

    First one setting holds everywhere at a time, and each tissue takes the one that raises its
    own score most ([MICCAI] §2.2). Where the field has one setting everywhere that is all. Where
    it obeys tissues, the start, the best setting for all and the tissues' own choices compete by
    the whole score, and from the winner every tissue is searched alone while the others are held,
    the largest tissue first, ``options.sweeps`` times or until nothing changes: the whole score
    never falls but to stay near to the start, and then by no more than the tolerance.
    ``gradient`` raises all tissues at once instead.

    With S settings (66 for steps of 0.1; 31 from coarse to fine) this takes about S fields, and
    S more for every tissue and sweep. Scores are taken on the field's grid. The start is tried
    too, and of equally good settings the one nearest to it is chosen.

    Args:
        field: what answers a setting.
        evidence: what is known about the pair.
        options: objective, method, start.
        progress: told the fraction done.
        cancelled: asked before every field.
        on_surface: given every response surface as soon as it is whole, and that of the whole
            image before, while it is coarse.

    Raises:
        InputError: the evidence does not allow the objective, or the field has no gradient.
        Cancelled: ``cancelled`` said so.

    Reference: Reithmeir et al., Data-driven tissue- and subject-specific elastic regularization
    for medical image registration, MICCAI 2024.
    """
    begin = perf_counter()
    options = options or EstimateOptions()
    listeners = Listeners(
        progress or (lambda step, fraction: None),
        cancelled or (lambda: False),
        on_surface or (lambda surface: None),
    )
    evidence.check(options.weights)
    require_gradient(field, options)
    device = field.displacement(options.elasticity, {}).device
    scorer = Scorer(Place(field.grid, evidence, device), options.weights)
    search = Search(field, scorer, options, listeners)
    best = search.survey()
    elasticity, scores = (_by_tissue if search.tissues else _global)(search, best)
    surfaces = _as_chosen(search.surfaces, elasticity)
    listeners.progress("estimate", 1.0)
    return Estimate(
        elasticity=elasticity,
        tissues=search.tissues,
        surfaces=surfaces,
        objective=options.weights,
        method=options.method,
        model=field.name,
        evidence="; ".join([scorer.statement, *_caveats(search, len(best))]),
        warnings=_warnings(surfaces, elasticity),
        scores={name: {"initial": scorer.initial[name], **scores[name]} for name in search.goals},
        fields=search.fields,
        seconds=perf_counter() - begin,
    )


def _caveats(search: Search, goals: int) -> list[str]:
    """What else is to be known of a choice."""
    apart = not search.tissues and goals > 1
    return [ONE_WEIGHT] * search.has_one_weight + [APART] * apart


Outcome = tuple[dict[str, Elasticity], dict[str, dict[str, float]]]
"""Tissue → (λ, μ), and tissue → its score before and after."""


def _global(search: Search, best: Mapping[str, Elasticity]) -> Outcome:
    """Every tissue's own best among fields with one setting everywhere."""
    scores = {
        name: {
            "before": search.score(Setting(start))[name],
            "after": search.surface(name).reached,
        }
        for name, start in search.goals.items()
    }
    return dict(best), scores


def _by_tissue(search: Search, best: Mapping[str, Elasticity]) -> Outcome:
    """The best combination of the tissues' settings that was found."""
    options = search.options
    start = Setting(options.elasticity, {name: options.start_of(name) for name in search.tissues})
    setting = search.combine(best)
    if options.method == "gradient":
        setting = search.climb(setting)
    else:
        for _ in range(options.sweeps):
            last, setting = setting, search.sweep(setting)
            if setting.key == last.key:
                break
    chosen = {EVERYWHERE: setting.default, **{n: setting.of(n) for n in search.tissues}}
    before, after = search.score(start), search.score(setting)
    scores = {name: {"before": before[name], "after": after[name]} for name in search.goals}
    return chosen, scores


def _as_chosen(
    surfaces: Sequence[Surface], elasticity: Mapping[str, Elasticity]
) -> tuple[Surface, ...]:
    """The surfaces; the last of each tissue tells what was chosen in the end."""
    last = {surface.tissue: number for number, surface in enumerate(surfaces)}
    found = list(surfaces)
    for tissue, number in last.items():
        if tissue in elasticity:
            found[number] = replace(found[number], chosen=elasticity[tissue])
    return tuple(found)


def _warnings(surfaces: Sequence[Surface], elasticity: Mapping[str, Elasticity]) -> tuple[str, ...]:
    """What the last surface of each chosen tissue leaves open."""
    last = {surface.tissue: surface for surface in surfaces if surface.tissue in elasticity}
    if any(surface.others == HELD for surface in last.values()):
        last.pop(EVERYWHERE, None)  # nothing was chosen by it in the end
    found = [warning for surface in last.values() if (warning := surface.warning())]
    bare = [name for name, value in elasticity.items() if value.lam + value.mu == 0]
    if bare:
        found.append(f"{', '.join(bare)}: no regularisation at all, λ 0 and μ 0; look for folds")
    return tuple(found)
