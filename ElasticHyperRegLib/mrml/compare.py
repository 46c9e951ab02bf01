"""Settings that were kept to be compared: A, B and so on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count, product
from string import ascii_uppercase
from typing import Any

from ..errors import InputError
from ..types import Elasticity

MOST_ANSWERS = 4
"""Kept settings that are shown again at once; an answer has four numbers for each voxel."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A kept setting.

    Attributes:
        name: unique among the kept settings of a pair.
        elasticity: tissue → (λ, μ).
        metrics: as in ``metrics.json``, of what was shown last at this setting.
        answer: the final one; ``None`` where that would have to be computed again.
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
    """Kept settings by name, oldest first.

    The ``MOST_ANSWERS`` that were kept or asked for last keep their answers, so that memory does
    not grow with every setting.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._used: list[str] = []

    @property
    def all(self) -> list[Kept]:
        """Oldest first."""
        return list(self._kept.values())

    def keep(self, kept: Kept) -> None:
        """Add one, or replace the one of the same name."""
        if not kept.name.strip():
            raise InputError("a kept setting without a name", "a name such as A")
        self._kept[kept.name] = kept
        self._use(kept.name)

    def answered(self, elasticity: Mapping[str, Elasticity], answer: Any) -> None:
        """Of settings without an answer those with this elasticity have one now."""
        for kept in self.all:
            if kept.answer is None and kept.elasticity == elasticity:
                self.keep(replace(kept, answer=answer, metrics=dict(answer.metrics)))

    def name_of(self, elasticity: Mapping[str, Elasticity]) -> str:
        """The one used last of those with this elasticity; empty for none."""
        used = reversed(self._used)
        return next((name for name in used if self._kept[name].elasticity == elasticity), "")

    def get(self, name: str) -> Kept:
        """The one of that name.

        Raises:
            InputError: there is none.
        """
        if name not in self._kept:
            there = ", ".join(self._kept) or "none was kept yet"
            raise InputError(f"the kept setting '{name}'", there, "keep it first")
        self._use(name)
        return self._kept[name]

    def forget(self, name: str) -> None:
        """Remove one.

        Raises:
            InputError: there is none of that name.
        """
        del self._kept[self.get(name).name]
        self._used.remove(name)

    def _use(self, name: str) -> None:
        self._used = [*(other for other in self._used if other != name), name]
        for other in self._used[:-MOST_ANSWERS]:
            self._kept[other] = replace(self._kept[other], answer=None)


def free_name(taken: Collection[str]) -> str:
    """The first of A, B … Z, AA, AB … that is not taken."""
    names = ("".join(letters) for n in count(1) for letters in product(ascii_uppercase, repeat=n))
    return next(name for name in names if name not in taken)
