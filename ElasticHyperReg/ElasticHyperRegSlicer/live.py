"""The live pair of the panel and the timer that polls it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.mrml.events import Closed, Status

POLL_MS = 20
YIELD_SECONDS = 0.01
"""3D Slicer's main thread keeps Python's lock between events, so that a Python thread would hardly
ever run; while there is work it is let go for so long at every poll."""


SETTLING = ("settle", "lock_ratio", "set_preset", "reset", "undo", "redo")
"""What leaves settings that are to be saved with the scene, answered or not."""


class LivePair:
    """At most one live pair: hands what happens to those who listen.

    Args:
        refresh: called whenever something may have changed.
        settled: called when the settings have changed and may be saved.

    Attributes:
        controller: ``LiveController``, or ``None``.
    """

    def __init__(self, refresh: Callable[[], None], settled: Callable[[], None]) -> None:
        self.controller: Any = None
        self._inSight = True
        self._ended: list[Any] = []
        self._refresh, self._settled = refresh, settled
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MS
        self._timer.connect("timeout()", self.poll)

    def listen(self, event: str, listener: Callable[[Any], None]) -> None:
        """Call ``listener`` with every event of that class name (``mrml.events``)."""
        self._listeners.setdefault(event, []).append(listener)

    @property
    def busy(self) -> frozenset[str]:
        """What goes on."""
        return frozenset(self.controller.busy) if self.controller else frozenset()

    @property
    def display(self) -> Any:
        """``RegistrationDisplay`` once the pair is ready, else ``None``."""
        return self.controller.display if self.controller else None

    def begin(self, controller: Any) -> None:
        """Start a pair, ending the one before."""
        self.end(_("Another registration was started."))
        self.controller = controller
        controller.flickers = self._inSight
        controller.start()
        self._timer.start()
        self._refresh()

    def setInSight(self, inSight: bool) -> None:
        """Whether the module is open; else nothing takes the views over by itself."""
        self._inSight = inSight
        if self.controller is not None:
            self.controller.flickers = inSight

    def end(self, reason: str) -> None:
        """End the pair, if there is one, and say why."""
        controller, self.controller = self.controller, None
        if controller is not None:
            self._ended.append(controller)
            controller.close(reason)
            self.tell(Closed(reason))
            self._refresh()

    def poll(self) -> None:
        """Take what is ready into the scene, tell the listeners, let the worker run."""
        try:
            events = self.controller.poll() if self.controller else []
        except Exception as error:
            logging.exception("ElasticHyperReg: the live pair failed")
            self.end(_("A fault of this module: {error}").format(error=error))
            return
        for event in events:
            if isinstance(event, Closed) and self.controller is not None:
                self._ended.append(self.controller)
                self.controller = None
            self.tell(event)
        if events:
            self._refresh()
        self._ended = [controller for controller in self._ended if not controller.ended]
        if self.busy or self._ended:
            time.sleep(YIELD_SECONDS)
        elif self.controller is None:
            self._timer.stop()

    def tell(self, event: Any) -> None:
        """Hand an event to those who listen to its class."""
        for listener in self._listeners.get(type(event).__name__, ()):
            listener(event)

    def do(self, method: str, *arguments: Any) -> Any:
        """Call a method of the controller; what it refuses is said, not raised."""
        if self.controller is None:
            return None
        done = self._try(getattr(self.controller, method), *arguments)
        if method in SETTLING:
            self._settled()
        return done

    def show(self, method: str, *arguments: Any) -> None:
        """Call a method of the display, once there is one."""
        if self.display is not None:
            self._try(getattr(self.display, method), *arguments)

    def _try(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except InputError as error:
            self.tell(Status(str(error), warning=True))
            return None
        finally:
            self._refresh()
