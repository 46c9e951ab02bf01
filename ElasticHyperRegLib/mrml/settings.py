"""The λ and μ of every tissue as a table of sliders has them: presets, locks, undo, redo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..materials import young_poisson
from ..types import Elasticity

Color = tuple[int, int, int]
EVERYWHERE = "everywhere"
DIGITS = 9


@dataclass(frozen=True)
class TissueRow:
    """One row of the table.

    Attributes:
        name: of the tissue.
        color: red, green, blue, 0 to 255.
        lam: λ, relative weight.
        mu: μ, relative weight.
        young: Young's modulus relative to the stiffest tissue of the table, 0 to 1.
        poisson: Poisson's ratio.
        present: the tissue occurs in the fixed label map.
        locked: λ/μ is kept when one of them moves.
    """

    name: str
    color: Color
    lam: float
    mu: float
    young: float
    poisson: float
    present: bool
    locked: bool

    def most(self, weight: str) -> float:
        """The largest value of ``lam`` or ``mu`` where the other stays, or follows in a lock."""
        own, other = (self.lam, self.mu) if weight == "lam" else (self.mu, self.lam)
        if self.locked and own + other:
            return own / (own + other)
        return 1 - other


@dataclass(frozen=True)
class TissueStart:
    """A tissue before anything was moved."""

    name: str
    color: Color
    elasticity: Elasticity
    present: bool = True


class TissueSettings:
    """λ and μ by tissue with undo; knows no scene and no session.

    Args:
        starts: the tissues in the order of the table with what ``reset`` goes back to.
    """

    def __init__(self, starts: tuple[TissueStart, ...]) -> None:
        if not starts:
            raise InputError("no tissue", "at least one")
        self._starts = {start.name: start for start in starts}
        self._now = {start.name: start.elasticity for start in starts}
        self._shares: dict[str, float] = {}
        self._done: list[dict[str, Elasticity]] = []
        self._undone: list[dict[str, Elasticity]] = []
        self._moving: str | None = None

    @property
    def elasticity(self) -> dict[str, Elasticity]:
        """Tissue → (λ, μ) now."""
        return dict(self._now)

    @property
    def rows(self) -> list[TissueRow]:
        """The table, in order."""
        moduli = {name: young_poisson(value.lam, value.mu) for name, value in self._now.items()}
        largest = max(young for young, _ in moduli.values()) or 1.0
        return [
            TissueRow(
                name,
                start.color,
                self._now[name].lam,
                self._now[name].mu,
                moduli[name][0] / largest,
                moduli[name][1],
                start.present,
                name in self._shares,
            )
            for name, start in self._starts.items()
        ]

    def move(self, tissue: str, lam: float | None = None, mu: float | None = None) -> Elasticity:
        """Move λ, μ or both of a tissue; moves of one tissue up to ``settle`` are one undo step.

        Where the ratio is locked and one is given, the other follows, both within λ + μ ≤ 1. Two
        values given at once are taken as they are; a lock then keeps their ratio.

        Raises:
            InputError: no such tissue, or a value out of range.
        """
        old = self._of(tissue)
        new = self._moved(tissue, old, lam, mu)
        if new != old:
            self._remember(tissue)
            self._now[tissue] = new
        return new

    def settle(self) -> None:
        """The slider was let go: the next move is a step of undo of its own."""
        self._moving = None

    def replace(self, values: Mapping[str, Elasticity]) -> None:
        """Set several tissues at once, one undo step; tissues not named stay.

        Raises:
            InputError: a tissue is unknown.
        """
        for tissue in values:
            self._of(tissue)
        new = {**self._now, **values}
        if new == self._now:
            return
        self.settle()
        self._remember(None)
        self._now = new
        for tissue in set(values) & set(self._shares):
            self._lock(tissue)

    def restore(self, values: Mapping[str, Elasticity], locked: Iterable[str]) -> None:
        """Values and locks of a saved pair; no step of undo."""
        for tissue in values:
            self._of(tissue)
        self._now.update(values)
        for tissue in locked:
            if tissue in self._now:
                self._lock(tissue)

    def reset(self, tissue: str | None = None) -> None:
        """Back to the start, one tissue or all of them."""
        names = self._starts if tissue is None else (tissue,)
        self.replace({name: self._starts[self._known(name)].elasticity for name in names})

    def lock_ratio(self, tissue: str, locked: bool) -> None:
        """Keep λ/μ of a tissue from now on, or let it go."""
        self._known(tissue)
        if locked:
            self._lock(tissue)
        else:
            self._shares.pop(tissue, None)

    @property
    def locked(self) -> tuple[str, ...]:
        """Tissues whose ratio is kept."""
        return tuple(name for name in self._starts if name in self._shares)

    @property
    def can_undo(self) -> bool:
        """Whether there is a move to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone move."""
        return bool(self._undone)

    def undo(self) -> bool:
        """One move back; whether there was one."""
        return self._swap(self._done, self._undone)

    def redo(self) -> bool:
        """One undone move forward again; whether there was one."""
        return self._swap(self._undone, self._done)

    def _swap(self, taken: list[dict[str, Elasticity]], given: list[dict[str, Elasticity]]) -> bool:
        if not taken:
            return False
        given.append(self._now)
        self._now = taken.pop()
        self.settle()
        for tissue in self._shares:
            self._lock(tissue)
        return True

    def _remember(self, tissue: str | None) -> None:
        if tissue is None or tissue != self._moving:
            self._done.append(dict(self._now))
        self._undone.clear()
        self._moving = tissue

    def _moved(
        self, tissue: str, old: Elasticity, lam: float | None, mu: float | None
    ) -> Elasticity:
        if lam is not None and mu is not None:
            new = Elasticity(lam, mu)
            if tissue in self._shares:
                self._shares[tissue] = _share(new)
            return new
        share = self._shares.get(tissue)
        if share is None:
            return Elasticity(old.lam if lam is None else lam, old.mu if mu is None else mu)
        given, part = (lam, share) if lam is not None else (mu, 1 - share)
        if given is None or part == 0:
            return old
        Elasticity(given, 0)  # refuses what is out of range
        total = min(1.0, given / part)
        return Elasticity(round(total * share, DIGITS), round(total * (1 - share), DIGITS))

    def _lock(self, tissue: str) -> None:
        self._shares[tissue] = _share(self._now[tissue])

    def _of(self, tissue: str) -> Elasticity:
        return self._now[self._known(tissue)]

    def _known(self, tissue: str) -> str:
        if tissue not in self._starts:
            raise InputError(
                f"a tissue '{tissue}'", f"one of {', '.join(self._starts)}", "correct the name"
            )
        return tissue


def _share(value: Elasticity) -> float:
    """λ/(λ + μ); one half where both are zero."""
    total = value.lam + value.mu
    return value.lam / total if total else 0.5
