"""One thread, latest wins: what is queued, dropped, delivered, and in which order."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from ElasticHyperRegLib.errors import Cancelled, InputError
from ElasticHyperRegLib.session.worker import Turn, Worker

SOON = 10.0


@pytest.fixture
def worker():
    made = Worker("test worker")
    yield made
    made.close()


class Gate:
    """A live request that says it has begun, then checks until it is let go."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, turn: Turn) -> None:
        self.begun.set()
        while not self.open.is_set():
            turn.check()
            time.sleep(0.001)


class Endless:
    """An errand that goes on until it is told to stop."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def __call__(self, stop: Callable[[], bool]) -> None:
        self.begun.set()
        while not stop():
            time.sleep(0.001)
        self.ended.set()


class Busy:
    """A live request that looks up when it is let go, and goes on with ``rest``."""

    def __init__(self, rest: Callable[[Turn], None] = lambda turn: None) -> None:
        self.begun, self.go, self._rest = threading.Event(), threading.Event(), rest

    def __call__(self, turn: Turn) -> None:
        self.begun.set()
        self.go.wait(SOON)
        self._rest(turn)


def answers_with(answer: object, told: list[object]) -> Callable[[Turn], None]:
    return lambda turn: turn.deliver(told.append, answer)


def queued(worker: Worker, errand: Callable[[], object]) -> threading.Thread:
    """A thread that waits for ``errand``, which lies in the queue."""
    thread = threading.Thread(target=errand)
    thread.start()
    while not worker._errands:
        time.sleep(0.001)
    return thread


def settle(worker: Worker) -> None:
    """All that was submitted before is done."""
    assert worker.run(lambda stop: True)


def test_a_storm_ends_with_the_last_and_skips_what_was_overtaken(worker):
    told: list[object] = []
    first = Busy(answers_with("first", told))  # until the last has come
    worker.submit(first)
    assert first.begun.wait(SOON)
    numbers = [worker.submit(answers_with(n, told)) for n in range(200)]
    first.go.set()
    settle(worker)
    assert told == [199]
    assert numbers == sorted(set(numbers))


def test_a_running_request_ends_at_its_next_check(worker):
    gate = Gate()
    worker.submit(gate)
    assert gate.begun.wait(SOON)
    told: list[object] = []
    worker.submit(answers_with("new", told))
    settle(worker)
    assert told == ["new"]
    assert not gate.open.is_set()


def test_nothing_is_delivered_after_being_overtaken(worker):
    told: list[object] = []
    stale = Busy(answers_with("stale", told))
    worker.submit(stale)
    assert stale.begun.wait(SOON)
    worker.submit(answers_with("fresh", told))
    stale.go.set()
    settle(worker)
    assert told == ["fresh"]


def test_a_rest_ends_when_a_newer_request_comes(worker):
    told: list[object] = []
    resting = threading.Event()

    def slow(turn):
        resting.set()
        turn.rest(10 * SOON)
        told.append("rested")

    worker.submit(slow)
    assert resting.wait(SOON)
    worker.submit(answers_with("new", told))
    settle(worker)
    assert told == ["new"]


def test_a_rest_that_nobody_disturbs_ends_by_itself(worker):
    told: list[object] = []

    def slow(turn):
        turn.rest(0.01)
        turn.deliver(told.append, "rested")

    worker.submit(slow)
    settle(worker)
    assert told == ["rested"]


def test_cancel_drops_all_and_the_worker_goes_on(worker):
    gate = Gate()
    told: list[object] = []
    worker.submit(gate)
    assert gate.begun.wait(SOON)
    worker.submit(answers_with("queued", told))
    worker.cancel()
    settle(worker)
    assert told == []
    worker.submit(answers_with("later", told))
    settle(worker)
    assert told == ["later"]


def test_a_fault_is_told_and_the_worker_goes_on(worker):
    faults: list[Exception] = []
    told: list[object] = []
    worker.submit(lambda turn: 1 / 0, faults.append)
    settle(worker)
    worker.submit(answers_with("next", told), faults.append)
    settle(worker)
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
    assert told == ["next"]


def test_a_fault_of_the_callback_is_told_once(worker):
    faults: list[Exception] = []
    worker.submit(lambda turn: turn.deliver(lambda answer: answer.nothing, 1), faults.append)
    settle(worker)
    assert [type(fault) for fault in faults] == [AttributeError]


def test_a_fault_that_nobody_asked_for_is_logged(worker, caplog):
    with caplog.at_level(logging.ERROR):
        worker.submit(lambda turn: 1 / 0)
        settle(worker)
    assert "ZeroDivisionError" in caplog.text


def test_an_errand_waits_for_the_live_request(worker):
    order, gate = [], Gate()

    def live(turn):
        gate(turn)
        order.append("live")

    worker.submit(live)
    assert gate.begun.wait(SOON)
    errand = threading.Thread(target=worker.run, args=(lambda stop: order.append("errand"),))
    errand.start()
    gate.open.set()
    errand.join(SOON)
    assert order == ["live", "errand"]


def test_an_errand_waits_for_a_live_request_that_came_after_it(worker):
    order: list[object] = []
    running = Busy()
    worker.submit(running)
    assert running.begun.wait(SOON)
    errand = queued(worker, lambda: worker.run(lambda stop: order.append("errand")))
    worker.submit(answers_with("live", order))
    running.go.set()
    errand.join(SOON)
    assert order == ["live", "errand"]


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_an_errand_of_the_callback_can_be_stopped(worker, end):
    errand = Endless()
    worker.submit(lambda turn: turn.deliver(lambda answer: worker.run(errand), 1))
    assert errand.begun.wait(SOON)
    getattr(worker, end)()
    assert errand.ended.wait(SOON)


def test_what_can_wait_gives_way_to_an_errand(worker):
    order: list[object] = []

    def background(turn):
        turn.give_way()
        order.append("background")

    live = Busy(background)
    worker.submit(live)
    assert live.begun.wait(SOON)
    errand = queued(worker, lambda: worker.run(lambda stop: order.append("errand")))
    live.go.set()
    errand.join(SOON)
    settle(worker)
    assert order == ["errand", "background"]


def test_a_live_request_is_answered_within_an_errand(worker):
    told: list[object] = []
    begun = threading.Event()

    def errand(stop):
        begun.set()
        while not told:
            assert not stop()
        return "done"

    def submit():
        assert begun.wait(SOON)
        worker.submit(answers_with("live", told))

    other = threading.Thread(target=submit)
    other.start()
    assert worker.run(errand) == "done"
    other.join(SOON)
    assert told == ["live"]


def test_errands_return_raise_and_are_cancelled(worker):
    assert worker.run(lambda stop: 7) == 7
    with pytest.raises(ZeroDivisionError):
        worker.run(lambda stop: 1 / 0)

    def endless(stop):
        worker.cancel()
        assert stop()
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        worker.run(endless)


def test_an_errand_of_the_thread_itself_does_not_wait_for_itself(worker):
    told: list[object] = []
    worker.submit(lambda turn: turn.deliver(lambda one: told.append(worker.run(lambda s: one)), 5))
    settle(worker)
    assert told == [5]


def test_close_ends_the_thread_and_what_waits():
    before = threading.active_count()
    worker, gate = Worker("closing"), Gate()
    worker.submit(gate)
    assert gate.begun.wait(SOON)
    ended = []

    def waiting():
        with pytest.raises(Cancelled):
            worker.run(lambda stop: 1)
        ended.append(True)

    errand = queued(worker, waiting)
    worker.close()
    worker.close()
    errand.join(SOON)
    assert ended == [True]
    assert threading.active_count() == before
    with pytest.raises(InputError, match="closed"):
        worker.submit(gate)
    with pytest.raises(InputError, match="closed"):
        worker.run(lambda stop: 1)


def test_a_request_leaves_nothing_behind(worker):
    class Large:
        pass

    held = Large()
    gone = weakref.ref(held)
    worker.submit(lambda turn, held=held: turn.check())
    settle(worker)
    del held
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("where", ["taking", "being told"])
def test_a_callback_that_leaves_the_program_does_not_end_the_thread(worker, caplog, where):
    def leave(given: object) -> None:
        raise SystemExit(0)

    def fail(turn: Turn) -> None:
        raise ValueError("no")

    if where == "taking":
        worker.submit(lambda turn: turn.deliver(leave, "answer"))
    else:
        worker.submit(fail, leave)
    settle(worker)
    assert "SystemExit" in caplog.text


def test_nothing_is_begun_after_closing_from_within(worker):
    seen: list[BaseException] = []

    def late(turn: Turn) -> None:
        worker.close()
        try:
            worker.run(lambda stop: True)
        except InputError as error:
            seen.append(error)

    worker.submit(late)
    worker._thread.join(SOON)
    assert "closed session" in str(seen[0])
