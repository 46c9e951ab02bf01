"""A live pair whose answers are given by the test: real settings, no session, no torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml.compare import Kept, KeptSettings
from ElasticHyperRegLib.mrml.events import Failed, Ready, Status, Updated
from ElasticHyperRegLib.mrml.pair_state import DisplayState, PairState
from ElasticHyperRegLib.mrml.settings import TissueSettings, TissueStart
from ElasticHyperRegLib.types import Elasticity

STARTS = (
    TissueStart("lung", (128, 174, 128), Elasticity(0.05, 0.1)),
    TissueStart("bone", (241, 214, 145), Elasticity(0.1, 0.8)),
    TissueStart("soft_tissue", (177, 122, 101), Elasticity(0.05, 0.15)),
    TissueStart("spleen", (157, 108, 162), Elasticity(0.05, 0.15), present=False),
)
READY = Ready(
    "none",
    "cpu",
    ("lung", "bone"),
    objectives=("dice", "soft-dice", "similarity", "folds"),
)
METRICS = {"folds_fraction": 0.0, "mean_dice": {"before": 0.71, "after": 0.94}}


class FakeDisplay:
    """Records what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.mode = "warped"
        self.transform_node = SimpleNamespace(GetName=lambda: "moving transform")

    def show(self, mode: str) -> None:
        self.mode = mode
        self.calls.append(("show", mode))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("set_"):
            return lambda *arguments: self.calls.append((name, *arguments))
        raise AttributeError(name)

    def last(self, name: str) -> tuple[Any, ...]:
        """Arguments of the last call of ``name``."""
        return next(call[1:] for call in reversed(self.calls) if call[0] == name)


class FakeController:
    """``LiveController`` without session and scene nodes; ``coming`` is what ``poll`` gives."""

    def __init__(self, pair: Any) -> None:
        self.state = PairState.load(pair)
        self._settings = TissueSettings(STARTS)
        known = self._settings.elasticity
        saved = {n: Elasticity(*v) for n, v in self.state.elasticity.items() if n in known}
        self._settings.replace(saved)
        self._kept = KeptSettings()
        for record in self.state.kept:
            self._kept.keep(Kept.of_record(record))
        self.calls: list[tuple[Any, ...]] = []
        self.coming: list[Any] = []
        self.jobs: set[str] = set()
        self.live = True
        self.closed, self.threads = False, False
        self.display: Any = None
        self.number = 0

    # what a shell calls

    def start(self) -> None:
        self.coming += [Status("preparing the pair …"), READY]

    def poll(self) -> list[Any]:
        events, self.coming = self.coming, []
        if any(isinstance(event, Ready) for event in events):
            self.display = FakeDisplay()
        return events

    def store(self, node: Any) -> None:
        values = self._settings.elasticity
        PairState(
            nodes=self.state.nodes,
            elasticity={name: [value.lam, value.mu] for name, value in values.items()},
            locked=self._settings.locked,
            kept=tuple(kept.record() for kept in self.kept),
            display=DisplayState(),
        ).store(node)

    @property
    def busy(self) -> frozenset[str]:
        return frozenset(self.jobs)

    @property
    def tissues(self) -> list[Any]:
        return self._settings.rows

    @property
    def kept(self) -> list[Any]:
        return self._kept.all

    @property
    def can_undo(self) -> bool:
        return self._settings.can_undo

    @property
    def can_redo(self) -> bool:
        return self._settings.can_redo

    def set_elasticity(self, tissue: str, lam: Any = None, mu: Any = None) -> None:
        self._settings.move(tissue, lam, mu)
        self.calls.append(("set_elasticity", tissue, lam, mu))
        self._answer()

    def settle(self) -> None:
        self._settings.settle()
        self.calls.append(("settle",))

    def set_preset(self, tissue: str, preset: str) -> None:
        self.calls.append(("set_preset", tissue, preset))
        self._settings.replace({tissue: Elasticity(0.2, 0.3)})

    def reset(self, tissue: str | None = None) -> None:
        self.calls.append(("reset", tissue))
        self._settings.reset(tissue)

    def lock_ratio(self, tissue: str, locked: bool) -> None:
        self._settings.lock_ratio(tissue, locked)

    def undo(self) -> bool:
        return self._settings.undo()

    def redo(self) -> bool:
        return self._settings.redo()

    def keep(self, name: str) -> Any:
        self._kept.keep(Kept(name, self._settings.elasticity, METRICS))

    def switch_to(self, name: str) -> None:
        self._settings.replace(self._kept.get(name).elasticity)
        self.coming.append(Updated(self.number, "kept", True, 0.0, METRICS))

    def forget(self, name: str) -> None:
        self._kept.forget(name)

    def estimate(self, objective: str = "dice", method: str = "grid") -> None:
        self._begin("estimate", objective, method)

    def sensitivity(self) -> None:
        self._begin("sensitivity")

    def measure(self) -> None:
        self._begin("measure")

    def write_outputs(self) -> None:
        self._begin("register", "scene")

    def export(self, folder: Any, overwrite: bool = False) -> None:
        self._begin("register", folder, overwrite)

    def cancel(self, *kinds: str) -> None:
        ended = sorted(self.jobs & set(kinds)) if kinds else sorted(self.jobs)
        self.coming += [Failed(job, f"{job} was cancelled", True) for job in ended]
        self.jobs -= set(ended)

    @property
    def ended(self) -> bool:
        return self.closed and not self.threads

    def close(self, reason: str = "closed") -> None:
        self.calls.append(("close", reason))
        self.closed = True

    # what a test calls

    def done(self, job: str, event: Any) -> None:
        """A job has ended with ``event``."""
        self.jobs.discard(job)
        self.coming.append(event)

    def _begin(self, job: str, *arguments: Any) -> None:
        if job in self.jobs:
            raise InputError(f"'{job}' twice", "one at a time")
        self.jobs.add(job)
        self.calls.append((job, *arguments))

    def _answer(self) -> None:
        self.number += 1
        self.coming.append(Updated(self.number, "refined", True, 0.12, METRICS))
