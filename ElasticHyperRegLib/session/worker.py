"""One thread that does all the work of a session: live requests, latest wins, and errands.

A live request is dropped at its next check once a newer one has come. An errand is work that
someone waits for. Live requests go first: an errand begins when none is at work, and whenever it
asks whether to stop, a live request that came meanwhile is answered before it goes on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Condition, Event, Thread, current_thread
from time import perf_counter
from typing import Any, TypeVar

import torch

from ..engine.threads import give_back_threads
from ..errors import Cancelled, InputError

T = TypeVar("T")
WAIT_S = 0.5
OnError = Callable[[Exception], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Turn:
    """A live request's hold on the worker.

    Attributes:
        number: of the request.
        check: called often by the work; raises ``Cancelled`` once the request is overtaken.
        give_way: likewise, while the work is of a kind that can wait: errands go before it.
        waited_for: whether an errand waits for the request to end.
        rest: waits so many seconds, or raises ``Cancelled`` as soon as the request is overtaken.
        report: tells of a fault.
        began: when the request came, ``time.perf_counter``.
    """

    number: int
    check: Callable[[], None]
    give_way: Callable[[], None]
    waited_for: Callable[[], bool]
    rest: Callable[[float], None]
    report: OnError
    began: float

    def deliver(self, callback: Callable[[T], None], result: T) -> None:
        """Call ``callback`` unless the request has been overtaken; a fault of it is reported.

        Raises:
            Cancelled: it has been overtaken, or the callback failed.
        """
        self.check()
        try:
            callback(result)
        except Exception as error:
            self.report(error)
            raise Cancelled("what was to take the answer failed") from error


@dataclass(frozen=True, eq=False)
class _Live:
    number: int
    work: Callable[[Turn], None]
    on_error: OnError | None
    began: float


@dataclass(frozen=True, eq=False)
class _Errand:
    work: Callable[[Callable[[], bool]], Any]
    done: Future[Any] = field(default_factory=Future)
    stop: Event = field(default_factory=Event)


class Worker:
    """The thread and its queue: at most one live request waits, errands line up.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._news = Condition()
        self._number = 0
        self._wanted: int | None = None
        self._waiting: _Live | None = None
        self._errands: deque[_Errand] = deque()
        self._running: list[_Errand] = []
        self._closed = False
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Turn], None], on_error: OnError | None = None) -> int:
        """Queue a live request in place of all before it; returns its number at once.

        ``on_error`` is called from the thread with what ``work`` raised, unless the request was
        overtaken by then; without it the fault is logged.

        Raises:
            InputError: the worker is closed.
        """
        give_back_threads()
        with self._news:
            self._check_open()
            self._number += 1
            self._wanted = self._number
            self._waiting = _Live(self._number, work, on_error, perf_counter())
            self._news.notify()
            return self._number

    def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Have ``work`` done and wait for it; it is given a function that tells it to stop.

        Called from the thread itself, by what takes an answer, it is done at once.

        Raises:
            Cancelled: ``cancel`` or ``close`` came before it was done.
            InputError: the worker is closed.
        """
        errand = _Errand(work)
        if current_thread() is self._thread:
            self._check_open()
            with self._at_work(errand):
                return work(errand.stop.is_set)
        give_back_threads()
        with self._news:
            self._check_open()
            self._errands.append(errand)
            self._news.notify()
        try:
            while not errand.done.done():  # Windows hears Ctrl-C between two waits only
                wait([errand.done], WAIT_S)
            return errand.done.result()
        finally:
            errand.stop.set()  # the waiting may have been interrupted from the keyboard

    def cancel(self) -> None:
        """Drop whatever waits and stop whatever runs at its next check."""
        with self._news:
            self._drop()

    def close(self) -> None:
        """``cancel``, then end the thread; may be called again, and from the thread itself."""
        with self._news:
            self._drop()
            self._closed = True
            self._news.notify()
        if current_thread() is not self._thread:
            self._thread.join()

    def _drop(self) -> None:
        self._wanted, self._waiting = None, None
        self._news.notify()
        for errand in (*self._errands, *self._running):
            errand.stop.set()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("a request to a closed session", "an open one", "make a new session")

    def _serve(self) -> None:
        while True:
            give_back_threads()
            with self._news:
                self._news.wait_for(lambda: self._closed or self._waiting or self._errands)
                if self._closed and not self._errands:
                    return
            self._answer_waiting()
            self._do_errands()

    def _answer_waiting(self) -> None:
        with self._news:
            live, self._waiting = self._waiting, None
        if live is not None:
            # An errand may be asking within inference mode, where no solver's gradient is found.
            with torch.inference_mode(False), torch.enable_grad():
                self._answer(live)

    def _answer(self, live: _Live) -> None:
        def check() -> None:
            if self._wanted != live.number:
                raise Cancelled("a newer request came")

        def give_way() -> None:
            if self._running:
                raise Cancelled("an errand waits to go on")
            self._do_errands()
            check()

        def waited_for() -> bool:
            return bool(self._running or self._errands)

        def rest(seconds: float) -> None:
            with self._news:
                self._news.wait_for(lambda: self._wanted != live.number, seconds)
            check()

        report = partial(self._report, live)
        try:
            live.work(Turn(live.number, check, give_way, waited_for, rest, report, live.began))
        except Cancelled:
            return
        except Exception as error:
            report(error)
        except BaseException as error:  # such as SystemExit of a callback: the thread goes on
            logger.error("request %d was left", live.number, exc_info=error)

    def _report(self, live: _Live, error: Exception) -> None:
        if live.on_error is None or self._wanted != live.number:
            logger.error("request %d failed", live.number, exc_info=error)
            return
        try:
            live.on_error(error)
        except BaseException:
            logger.exception("what was to be told of a failed request failed itself")

    def _do_errands(self) -> None:
        while self._errands and self._waiting is None:
            with self._at_work(self._errands[0]) as errand:
                with self._news:
                    self._errands.popleft()
                self._do(errand)

    @contextmanager
    def _at_work(self, errand: _Errand) -> Iterator[_Errand]:
        """``cancel`` and ``close`` reach the errand meanwhile."""
        with self._news:
            self._running.append(errand)
        try:
            yield errand
        finally:
            with self._news:
                self._running.remove(errand)

    def _do(self, errand: _Errand) -> None:
        def stopped() -> bool:
            self._answer_waiting()
            return errand.stop.is_set()

        try:
            if errand.stop.is_set():
                raise Cancelled("cancelled before it began")
            result = errand.work(stopped)
        except BaseException as error:  # it is raised where the errand is waited for
            errand.done.set_exception(error)
        else:
            errand.done.set_result(result)
