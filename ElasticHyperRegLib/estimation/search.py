"""The search: one setting everywhere at a time, then tissue by tissue where the field obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch

from ..engine.elasticity import BACKGROUND, EVERYWHERE, tissue_names
from ..engine.field_model import FieldModel
from ..engine.request import Progress
from ..errors import Cancelled
from ..types import Elasticity
from .differentiable import DifferentiableField, ascend
from .explore import Found, Scores, Space, budget, explore, scores_of
from .options import EstimateOptions
from .scorer import Scorer
from .settings import Setting
from .surface import HELD, SAME, TIE, Choice, Surface, best_of

Key = tuple[Elasticity, ...]
"""What a field makes of a setting: (λ, μ) of each tissue that it obeys, or of everywhere."""


@dataclass(frozen=True)
class Listeners:
    """Who is told how the search goes, and who may stop it."""

    progress: Progress
    cancelled: Callable[[], bool]
    on_surface: Callable[[Surface], None]


class Search:
    """One estimate under way.

    Args:
        field: what answers a setting.
        scorer: what the answer is worth.
        options: how to look.
        listeners: who is told.

    Attributes:
        tissues: those that the field obeys and the fixed labels show, the largest first.
        goals: what is to be raised (``everywhere`` and tissues) → where its search starts.
        options: as given.
        surfaces: every response surface, in the order they were made.
        fields: how many fields were computed.
        has_one_weight: whether the field knows λ + μ alone.
    """

    def __init__(
        self, field: FieldModel, scorer: Scorer, options: EstimateOptions, listeners: Listeners
    ) -> None:
        self._field, self._scorer = field, scorer
        self.options, self._listeners = options, listeners
        self.surfaces: list[Surface] = []
        self.fields = 0
        self._known: dict[Key, Scores] = {}
        self.has_one_weight = getattr(field, "has_one_weight", False)
        self.tissues = self._obeyed()
        self.goals = {
            EVERYWHERE: options.elasticity,
            **{name: options.start_of(name) for name in scorer.tissues},
        }
        self._planned = self._plan()

    def score(self, setting: Setting) -> Scores:
        """Scores of a setting; one that was tried before costs nothing.

        Raises:
            Cancelled: the listener said so.
        """
        key = self._key(setting)
        if key not in self._known:
            self.tick()
            with torch.no_grad():
                d_mm = self._field.displacement(setting.default, setting.tissues)
                self._known[key] = self._scorer.named(self._scorer(d_mm))
        return self._known[key]

    def tick(self) -> None:
        """Count a field that is about to be computed."""
        if self._listeners.cancelled():
            raise Cancelled("the estimate was cancelled")
        self._listeners.progress("estimate", min(1.0, self.fields / self._planned))
        self.fields += 1

    def survey(self) -> dict[str, Elasticity]:
        """The best setting for the whole and for each tissue, the same everywhere at a time."""
        slack = self._scorer.slack
        found = explore(
            lambda value: self.score(Setting(value)),
            self.goals,
            self._space(self.options.elasticity),
            slack,
            seen=self._glimpse,
        )
        if self.options.method == "gradient" and not self.tissues:
            for goal, start in self.goals.items():
                self._climb_one(goal, best_of(scores_of(found, goal), start, slack), found)
        return {
            goal: self._note(goal, SAME, scores_of(found, goal), start)
            for goal, start in self.goals.items()
        }

    def combine(self, best: Mapping[str, Elasticity]) -> Setting:
        """The best of what the survey suggests and of the start, for a field that obeys tissues.

        Where some tissues have a score of their own, those that have none keep their start.
        """
        options, default = self.options, best[EVERYWHERE]
        given = {name: options.start_of(name) for name in self.tissues}
        apart = len(best) > 1
        silent = {name: given[name] for name in self.tissues if apart and name not in best}
        parts = {name: best.get(name, default) for name in self.tissues} | silent
        starts = Setting(options.elasticity, given)
        return self.best([starts, Setting(default, silent), Setting(default, parts)])

    def best(self, settings: list[Setting]) -> Setting:
        """The first setting whose whole score is the highest, or less by the slack at most."""
        scores = [self.score(setting)[EVERYWHERE] for setting in settings]
        enough = max(scores) - max(self._scorer.slack, TIE)
        return next(s for s, score in zip(settings, scores, strict=True) if score >= enough)

    def surface(self, tissue: str) -> Surface:
        """The last surface of a tissue."""
        return next(s for s in reversed(self.surfaces) if s.tissue == tissue)

    def sweep(self, setting: Setting) -> Setting:
        """Every tissue searched alone, the others held; worse by no more than the tolerance."""
        for tissue in self.tissues:
            now, start = {EVERYWHERE: setting.of(tissue)}, self.options.start_of(tissue)
            held, slack = partial(self._with, setting, tissue), self._scorer.slack_of(tissue)
            found = explore(held, now, self._space(start), slack, besides=[start])
            chosen = self._note(tissue, HELD, scores_of(found, EVERYWHERE), start)
            setting = setting.with_tissue(tissue, chosen)
        return setting

    def climb(self, setting: Setting) -> Setting:
        """Gradient ascent of the whole score in all tissues at once.

        ``setting`` itself where the ascent gains no more than the tolerance over its first point:
        the solver may have come nearer to its minimum there than when ``setting`` was scored.

        Reference: Wang et al., conditional registration, eq. 4 (soft Dice, frozen network).
        """
        names = self._field.tissues
        visited = [setting]

        def score(values: torch.Tensor) -> torch.Tensor:
            scores = self._scores(values)
            rows = [rounded(row) for row in values.tolist()]
            visited.append(Setting(setting.default, dict(zip(names, rows, strict=True))))
            self._known[self._key(visited[-1])] = self._scorer.named(scores)
            return scores[0]

        start = [setting.of(name) for name in names]
        ascend(start, score, self.options.iterations, self._scorer.place.device)
        best = self.best(visited)
        before = max(self.score(first)[EVERYWHERE] for first in visited[:2])
        gain = self.score(best)[EVERYWHERE] - before
        return best if gain > self._scorer.tolerance else setting

    def _key(self, setting: Setting) -> Key:
        return tuple(setting.of(name) for name in self._field.tissues) or (setting.default,)

    def _space(self, start: Elasticity) -> Space:
        """Of settings that the field can tell from each other."""
        return Space(self.options, start if self.has_one_weight else None)

    def _glimpse(self, found: Found) -> None:
        """Tell how the whole looks so far."""
        scores, start = scores_of(found, EVERYWHERE), self.goals[EVERYWHERE]
        choice = Choice(start, self._scorer.tolerance, self._scorer.slack)
        self._listeners.on_surface(Surface.over(EVERYWHERE, SAME, scores, choice))

    def _climb_one(self, goal: str, start: Elasticity, found: Found) -> None:
        """Gradient ascent of one score in one setting for everywhere.

        What it meets is noted where that gains more than the tolerance.
        """
        index = (EVERYWHERE, *self._scorer.place.names).index(goal)
        met: Found = {}

        def score(values: torch.Tensor) -> torch.Tensor:
            scores = self._scores(values)
            met[rounded(values[0].tolist())] = self._scorer.named(scores)
            return scores[index]

        ascend([start], score, self.options.iterations, self._scorer.place.device)
        before = max(scores_of(found, goal).values())
        if max(scores_of(met, goal).values()) - before > self._scorer.tolerance:
            found.update(met)

    def _scores(self, values: torch.Tensor) -> torch.Tensor:
        """Scores (1 + tissues,), differentiable in ``values``."""
        self.tick()
        return self._scorer(cast(DifferentiableField, self._field).predict(values))

    def _with(self, setting: Setting, tissue: str, value: Elasticity) -> Scores:
        return self.score(setting.with_tissue(tissue, value))

    def _note(
        self, tissue: str, others: str, scores: dict[Elasticity, float], start: Elasticity
    ) -> Elasticity:
        """Keep a surface and return its best setting."""
        scorer = self._scorer
        choice = Choice(start, scorer.tolerance, scorer.slack)
        if others == HELD:
            choice = Choice(start, scorer.tolerance_of(tissue), scorer.slack_of(tissue))
        surface = Surface.over(tissue, others, scores, choice)
        self.surfaces.append(surface)
        self._listeners.on_surface(surface)
        return surface.chosen

    def _obeyed(self) -> tuple[str, ...]:
        """Tissues that the field obeys and the fixed labels show, the largest first."""
        place = self._scorer.place
        labels = place.evidence.fixed_labels
        shown = self._field.tissues if labels is None else tuple(tissue_names(labels).values())
        rest = place.grid.voxels - sum(place.voxels.values())
        background = BACKGROUND if labels is None else labels.names.get(0, BACKGROUND)
        # One of a few voxels may have none on the field's grid.
        voxels = {background: rest, **place.voxels}
        here = [name for name in self._field.tissues if name in shown]
        return tuple(sorted(here, key=lambda name: -voxels.get(name, 0)))

    def _plan(self) -> int:
        """How many fields there will be, at most."""
        options = self.options
        planned = budget(options, len(self.goals))
        if options.method == "gradient":
            return planned + options.iterations * (1 if self.tissues else len(self.goals))
        return planned + options.sweeps * len(self.tissues) * budget(options, 1)


def rounded(row: list[float]) -> Elasticity:
    """(λ, μ) of a point on the way up."""
    lam, mu = (round(value, 6) for value in row)
    return Elasticity(lam, min(mu, 1 - lam))
