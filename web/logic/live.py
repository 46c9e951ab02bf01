"""The live controller of the page: told to whoever listens, asked over and over."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from trame_server.state import State

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml import (
    Closed,
    Failed,
    LiveController,
    Progressed,
    Ready,
    Status,
    Updated,
    percent,
)

from ..state import DEFAULTS, OF_A_PAIR

POLL_SECONDS = 0.02
AWAITED_SECONDS = 0.005
"""While a slider has no answer yet."""
MOST_SECONDS = 1.0
LOG = logging.getLogger(__name__)

Event = Any
Method = TypeVar("Method", bound=Callable[..., None])


def told(method: Method) -> Method:
    """A user's fault in a method is shown in the page; a fault of ours too, and is logged.

    The object has the open pair as its ``_live``.
    """

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except InputError as error:
            self._live.say(str(error), bad=True)
        except Exception as error:
            LOG.exception("in %s", method.__qualname__)
            self._live.say(f"A fault of this program: {error}", bad=True)

    return cast(Method, wrapped)


class Live:
    """Holds the controller, and passes its events on.

    Args:
        state: of the page.

    Attributes:
        controller: of the open pair; None before.
    """

    def __init__(self, state: State) -> None:
        self.controller: LiveController | None = None
        self._live = self
        self._state = state
        self._model = ""
        self._listeners: list[tuple[type, Callable[[Any], None]]] = []
        self.on(Status, self._warn)
        self.on(Progressed, self._show_progress)
        self.on(Ready, self._show_ready)
        self.on(Updated, self._show_answer)
        self.on(Failed, self._show_failure)
        self.on(Closed, self._show_end)

    @property
    def now(self) -> LiveController:
        """The controller.

        Raises:
            InputError: no pair is open.
        """
        if self.controller is None or not self._state.pair_ready:
            raise InputError("no pair", "two scans that are open", "open a pair first")
        return self.controller

    @property
    def status(self) -> str:
        """One line about the open pair, or that there is none."""
        return DEFAULTS["status"] if self.controller is None else self.controller.status

    def on(self, kind: type, function: Callable[[Any], None]) -> None:
        """Call ``function`` with every event of ``kind``, in the page's own thread."""
        self._listeners.append((kind, function))

    def replace(self, controller: LiveController) -> None:
        """End the pair that was open, and begin with another; nothing of the first stays."""
        self.close()
        self.controller = controller
        controller.start()

    def close(self) -> None:
        """End the pair."""
        if self.controller is not None:
            self.controller.close()
            self.controller = None
        self._state.update(OF_A_PAIR)

    async def run(self, draws: Callable[[], bool]) -> None:
        """Ask the controller what happened, for ever.

        Drawing its answers holds up everything else, so better and better fields for one setting
        get half of the time at most; the first answer to a setting is drawn at once.

        Args:
            draws: whether views wait to be drawn.
        """
        loop = asyncio.get_running_loop()
        while True:
            begun, pause = loop.time(), AWAITED_SECONDS if self._awaits else POLL_SECONDS
            await asyncio.sleep(pause)
            while draws() and not self._awaits:
                await asyncio.sleep(AWAITED_SECONDS)
            spent = loop.time() - begun - pause
            rested = loop.time() + min(spent, MOST_SECONDS)
            while loop.time() < rested and not self._awaits:
                await asyncio.sleep(POLL_SECONDS)
            if self.controller is None:
                continue
            with self._state:
                self._poll(self.controller)

    def say(self, text: str, bad: bool = False) -> None:
        """Show a line to the user for a while; ``bad`` until it is put away."""
        self._state.update({"message": text, "message_bad": bad, "message_open": True})

    @property
    def _awaits(self) -> bool:
        return self.controller is not None and self.controller.awaits

    @told
    def _poll(self, controller: LiveController) -> None:
        for event in controller.poll():
            self._state.status = controller.status
            self._tell(event)
        self._show_busy()

    def _tell(self, event: Event) -> None:
        for kind, function in self._listeners:
            if isinstance(event, kind):
                function(event)

    def _show_busy(self) -> None:
        controller = self.controller
        if controller is None:
            return
        state = self._state
        # Every move updates; the page would be drawn anew for what it does not show.
        state.busy = sorted(controller.busy - {"update"})
        state.can_undo, state.can_redo = controller.can_undo, controller.can_redo

    def _warn(self, event: Status) -> None:
        """Stays among the notes; a fault that is being shown is not covered by it."""
        if not event.warning:
            return
        state = self._state
        state.notes = [*(note for note in state.notes if note != event.text), event.text]
        if not (state.message_open and state.message_bad):
            self.say(event.text)

    def _show_progress(self, event: Progressed) -> None:
        self._state.progress = round(100 * event.fraction)

    def _show_ready(self, event: Ready) -> None:
        self._model = "exact solver" if event.model == "none" else f"model {event.model}"
        self._state.update({"pair_ready": True, "notes": list(event.notes)})
        self._show_model(event.device)

    def _show_model(self, device: str) -> None:
        self._state.model_line = f"{self._model} on {device}"

    def _show_answer(self, event: Updated) -> None:
        if "device" in event.metrics:  # which it may have fallen back to
            self._show_model(event.metrics["device"])
        self._state.answer = {
            "stage": event.stage,
            "final": event.final,
            "number": event.number,
            **figures(event.metrics),
        }

    def _show_failure(self, event: Failed) -> None:
        self.say(event.message, bad=not event.cancelled)

    def _show_end(self, event: Closed) -> None:
        self.close()
        self._state.status = event.reason


def figures(metrics: dict[str, Any]) -> dict[str, str]:
    """The figures of an answer that fit into one line."""
    found = {}
    if "mean_dice" in metrics:
        dice = metrics["mean_dice"]
        found["dice"] = f"{dice['before']:.3f} → {dice['after']:.3f}"
    if "folds_fraction" in metrics:
        found["folds"] = percent(metrics["folds_fraction"])
    if "jacobian" in metrics:
        volume = metrics["jacobian"]
        found["jacobian"] = f"{volume['min']:.2f} … {volume['max']:.2f}"
    return found
