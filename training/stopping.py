"""Ctrl-C and its like are heard between two steps, where what was trained can be kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ElasticHyperRegLib.io.outputs import ENDING

SIGNALS = [signal.SIGINT, *ENDING]


@contextmanager
def stop_between_steps(alone: bool) -> Iterator[Callable[[], bool]]:
    """Inside, Ctrl-C, SIGTERM and SIGHUP wait until the function given is asked; a second does not.

    A step that is broken off could leave some weights of it and not the others.

    Args:
        alone: whether this is the only process. Others would wait for one that has stopped: there
            they end it at once.
    """
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if alone and main}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in ours:
        signal.signal(number, hear)
    try:
        yield lambda: bool(heard)
    finally:
        for number in ours:
            signal.signal(number, before[number])
