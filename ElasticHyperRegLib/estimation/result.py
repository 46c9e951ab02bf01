"""What an estimate found, and on what it rests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.elasticity import EVERYWHERE
from ..engine.request import NONE
from ..types import Elasticity
from .settings import Setting
from .surface import HELD, Surface


@dataclass(frozen=True, eq=False)
class Estimate:
    """(λ, μ) of every tissue for one pair.

    Attributes:
        elasticity: tissue → (λ, μ); ``everywhere`` is what no other entry names.
        tissues: those that the fields obeyed; empty where they had one setting everywhere.
        surfaces: how the score depended on each tissue's setting, in the order they were made.
        objective: objective → weight.
        method: how the settings were searched.
        model: name of what computed the fields.
        evidence: in words, what the choice rests on and what it therefore cannot be judged by.
        warnings: tissues that the evidence does not determine, and whatever else to know.
        scores: tissue (or ``everywhere``) → ``initial`` (alignment alone), ``before`` (the
            values the search started from), ``after``; higher is better.
        fields: how many fields were computed.
        seconds: how long it took.
    """

    elasticity: Mapping[str, Elasticity]
    tissues: tuple[str, ...]
    surfaces: tuple[Surface, ...]
    objective: Mapping[str, float]
    method: str
    model: str
    evidence: str
    warnings: tuple[str, ...]
    scores: Mapping[str, Mapping[str, float]]
    fields: int
    seconds: float

    @property
    def setting(self) -> Setting:
        """The chosen (λ, μ) as a field model takes them."""
        return Setting.read(dict(self.elasticity))

    @property
    def answered_by(self) -> str:
        """What computed the fields, for people."""
        return "the solver" if self.model == NONE else self.model

    def surface(self, tissue: str = EVERYWHERE) -> Surface:
        """The last surface of a tissue, the one that its choice was read from.

        Raises:
            KeyError: there is none.
        """
        for surface in reversed(self.surfaces):
            if surface.tissue == tissue:
                return surface
        raise KeyError(tissue)

    def to_table(self) -> dict[str, list[float]]:
        """Tissue → [λ, μ], as ``metrics.json`` and ``register --elasticity-file`` hold it."""
        return {name: [value.lam, value.mu] for name, value in self.elasticity.items()}

    def plausible(self) -> list[Setting]:
        """Settings as good as the chosen one, as far as the evidence can tell.

        The chosen one first. For a field that obeys tissues: also it with one tissue's (λ, μ)
        exchanged, where that tissue was searched alone. Else also whatever scored as well as the
        chosen one with one setting everywhere. ``sensitivity`` over them tells where the answer
        depends on what the evidence leaves open.
        """
        chosen = self.setting if self.tissues else Setting(self.setting.default)
        others = [
            chosen.with_tissue(tissue, value)
            for tissue in dict.fromkeys(s.tissue for s in self.surfaces if s.others == HELD)
            for value in self.surface(tissue).plausible
        ]
        whole = self.surface()
        enough = self.scores[EVERYWHERE]["after"] - whole.tolerance
        pairs = zip(whole.settings, whole.scores, strict=True)
        alike = [Setting(value) for value, score in pairs if score >= enough]
        found = {setting.key: setting for setting in (chosen, *(others or alike))}
        return list(found.values())

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "elasticity": self.to_table(),
            "objective": dict(self.objective),
            "method": self.method,
            "model": self.model,
            "evidence": self.evidence,
            "warnings": list(self.warnings),
            "scores": {tissue: dict(values) for tissue, values in self.scores.items()},
            "surfaces": [surface.record() for surface in self.surfaces],
            "fields": self.fields,
            "seconds": round(self.seconds, 3),
        }

    def write(self, path: str | Path) -> None:
        """Write the record as JSON, which ``register --elasticity-file`` reads.

        Raises:
            OSError: the file cannot be written.
        """
        text = json.dumps(self.record(), indent=2, ensure_ascii=False, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")
