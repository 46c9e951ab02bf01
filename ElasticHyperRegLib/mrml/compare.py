"""Settings that were kept to be compared: A, B and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..types import Elasticity


@dataclass(frozen=True, eq=False)
class Kept:
    """A kept setting.

    Attributes:
        name: unique among the kept settings of a pair.
        elasticity: tissue → (λ, μ).
        metrics: as in ``metrics.json``, of what was shown when it was kept.
        answer: what was shown; ``None`` after the scene was loaded again.
    """

    name: str
    elasticity: dict[str, Elasticity]
    metrics: dict[str, Any]
    answer: Any = None

    def record(self) -> dict[str, Any]:
        """What is saved with the scene."""
        values = {tissue: [value.lam, value.mu] for tissue, value in self.elasticity.items()}
        return {"name": self.name, "elasticity": values, "metrics": self.metrics}

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Kept:
        """The reverse of ``record``."""
        values = {tissue: Elasticity(*pair) for tissue, pair in record["elasticity"].items()}
        return cls(record["name"], values, record["metrics"])


class KeptSettings:
    """Kept settings by name, oldest first."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    @property
    def all(self) -> list[Kept]:
        """Oldest first."""
        return list(self._kept.values())

    def keep(self, kept: Kept) -> None:
        """Add one, or replace the one of the same name."""
        if not kept.name.strip():
            raise InputError("a kept setting without a name", "a name such as A")
        self._kept[kept.name] = kept

    def get(self, name: str) -> Kept:
        """The one of that name.

        Raises:
            InputError: there is none.
        """
        if name not in self._kept:
            there = ", ".join(self._kept) or "none was kept yet"
            raise InputError(f"the kept setting '{name}'", there, "keep it first")
        return self._kept[name]

    def forget(self, name: str) -> None:
        """Remove one.

        Raises:
            InputError: there is none of that name.
        """
        del self._kept[self.get(name).name]
