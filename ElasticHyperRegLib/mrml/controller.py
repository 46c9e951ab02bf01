"""What every shell drives: one live pair with its tissue table, kept settings and state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InputError
from ..tissues import presets
from ..types import Elasticity
from .compare import Kept, KeptSettings
from .events import Updated
from .nodes import Node, Scene
from .options import ControllerOptions
from .pair import LivePair
from .pair_state import PairState
from .settings import EVERYWHERE, TissueRow


class LiveController(LivePair):
    """One live pair, used by every shell; knows no Qt and no trame.

    All methods are called from the thread that owns the scene and return at once. Work happens in
    the background; ``poll`` (from a timer, every 20 ms or so) brings its results into the scene
    and tells the shell what happened.

    Args:
        scene: vtkMRMLScene.
        fixed_node: scalar volume.
        moving_node: scalar volume.
        labels_node: segmentation or label map of the fixed volume: the tissues.
        moving_labels_node: of the moving volume, for metrics and warped labels; a segmentation is
            shown warped too.
        options: see ``ControllerOptions``.

    Attributes:
        display: ``RegistrationDisplay`` once ``Ready`` was told, ``None`` before.
        quality: the last ``Quality``, ``None`` before.
        estimate_found: the last estimate, ``None`` before.
        shown: the answer that is shown, ``None`` before.
        status: one line for the status bar.
        live: update while dragging; else only ``settle`` asks for an answer.
        flickers: whether the display mode ``flicker`` changes views; false while the shell is out
            of sight, as others may use them.
        closed: nothing happens any more.

    Raises:
        InputError: a node is missing, has no image, or stands under an unsuitable transform.
    """

    def __init__(
        self,
        scene: Scene,
        fixed_node: Node,
        moving_node: Node,
        labels_node: Node = None,
        moving_labels_node: Node = None,
        *,
        options: ControllerOptions | None = None,
    ) -> None:
        options = options or ControllerOptions()
        more = {"labels": labels_node, "moving_labels": moving_labels_node, **options.nodes()}
        given = {role: node for role, node in more.items() if node is not None}
        super().__init__(scene, {"fixed": fixed_node, "moving": moving_node, **given}, options)
        self._kept = KeptSettings()
        self.live = True

    @classmethod
    def from_state(
        cls, scene: Scene, state_node: Node, open_session: Callable[..., Any] | None = None
    ) -> LiveController:
        """Controller of a pair saved in the scene: settings, kept settings, display.

        Raises:
            InputError: the state is damaged, or a volume is missing.
        """
        state = PairState.load(state_node)
        nodes = state.nodes
        volumes = nodes.get("fixed"), nodes.get("moving")
        labels = nodes.get("labels"), nodes.get("moving_labels")
        options = ControllerOptions.of_state(state, open_session)
        controller = cls(scene, *volumes, *labels, options=options)
        controller._saved = state
        controller._restore_settings()
        for record in state.kept:
            controller._kept.keep(Kept.of_record(record))
        return controller

    def store(self, state_node: Node) -> None:
        """Write the state into a parameter node (``new_pair_node``)."""
        shown = self._saved.display if self.display is None else self.display.state
        transform = {} if self.display is None else {"transform": self.display.transform_node}
        options, settings = self.options, self._settings
        PairState(
            nodes={**self._nodes, **transform},
            model=options.model,
            device=options.device,
            initial=options.initial,
            seed=options.seed,
            refine=options.refine,
            similarity=options.similarity,
            scheme=options.scheme,
            elasticity={name: [e.lam, e.mu] for name, e in settings.elasticity.items()},
            locked=settings.locked,
            kept=tuple(kept.record() for kept in self.kept),
            display=shown,
        ).store(state_node)

    @property
    def ended(self) -> bool:
        """Whether the pair is closed and none of its threads runs any more."""
        return self.closed and not self._jobs.alive

    @property
    def tissues(self) -> list[TissueRow]:
        """Rows of the tissue table; one row ``everywhere`` without labels."""
        return self._settings.rows

    def set_elasticity(
        self, tissue: str, lam: float | None = None, mu: float | None = None
    ) -> None:
        """A slider moved: λ, μ or both; the latest wins. A locked ratio moves the other along.

        Raises:
            InputError: no such tissue, or values out of range.
        """
        self._settings.move(tissue, lam, mu)
        if self.live:
            self._submit()

    def settle(self) -> None:
        """The slider was let go: ends a step of undo, asks for an answer where not ``live``."""
        self._settings.settle()
        if self.live or self._answers is None or self.closed:
            return
        if self._submitted != self._values():
            self._submit()

    def set_preset(self, tissue: str, preset: str) -> None:
        """λ and μ of a preset by its name (``tissues.presets``).

        Raises:
            InputError: no such tissue or preset.
        """
        if preset not in presets():
            raise InputError(f"the preset '{preset}'", f"one of {', '.join(presets())}")
        self._settings.replace({tissue: presets()[preset].elasticity})
        self._submit()

    def reset(self, tissue: str | None = None) -> None:
        """Back to the start values, one tissue or all.

        Raises:
            InputError: no such tissue.
        """
        self._settings.reset(tissue)
        self._submit()

    def lock_ratio(self, tissue: str, locked: bool) -> None:
        """Keep λ/μ of a tissue, or let it go.

        Raises:
            InputError: no such tissue.
        """
        self._settings.lock_ratio(tissue, locked)

    @property
    def can_undo(self) -> bool:
        """Whether there is a move to undo."""
        return self._settings.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone move."""
        return self._settings.can_redo

    def undo(self) -> bool:
        """Undo a move; whether there was one."""
        return self._settings.undo() and self._submit()

    def redo(self) -> bool:
        """Redo a move; whether there was one."""
        return self._settings.redo() and self._submit()

    @property
    def kept(self) -> list[Kept]:
        """Kept settings, oldest first."""
        return self._kept.all

    def keep(self, name: str) -> Kept:
        """Keep what is shown, replacing a kept setting of the same name.

        Of an answer that is still being refined the setting is kept; what is shown for it later is
        the final answer, once there is one.

        Raises:
            InputError: nothing is shown yet, or the name is empty.
        """
        if self.shown is None:
            raise InputError("nothing is shown yet", action="wait for the first result")
        answer = self.shown if self.shown.final else None
        kept = Kept(name, self._values_of(self.shown), dict(self.shown.metrics), answer)
        self._kept.keep(kept)
        return kept

    @property
    def shown_kept(self) -> str:
        """The kept setting at which the table stands; empty where it is none of them."""
        return self._kept.name_of(self._settings.elasticity)

    def switch_to(self, name: str) -> None:
        """Show a kept setting again, at once where its answer is still there; one step of undo.

        Raises:
            InputError: none of that name.
        """
        kept = self._kept.get(name)
        known = self._settings.elasticity
        self._settings.replace({n: kept.elasticity[n] for n in known if n in kept.elasticity})
        if kept.answer is None or self._answers is None:
            self._submit()
            return
        self._answers.drop()
        self._submitted = None
        self._say(self._show(kept.answer, "kept"))

    def forget(self, name: str) -> None:
        """Remove a kept setting.

        Raises:
            InputError: none of that name.
        """
        self._kept.forget(name)

    def _show(self, answer: Any, stage: str) -> Updated:
        if answer.final:
            self._kept.answered(self._values_of(answer), answer)
        return super()._show(answer, stage)

    def _values_of(self, answer: Any) -> dict[str, Elasticity]:
        """The rows of the table as an answer has them."""
        given = answer.elasticity
        return {
            row.name: given.get(row.name, given.get(EVERYWHERE, Elasticity(row.lam, row.mu)))
            for row in self.tissues
        }
