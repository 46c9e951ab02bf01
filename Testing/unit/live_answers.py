"""What takes the answers of a live session in a test."""

from __future__ import annotations

import queue
from time import monotonic, sleep

from ElasticHyperRegLib import RegistrationOptions
from ElasticHyperRegLib.session import Answer, Session, Values

SOON = 60.0
ALONE = RegistrationOptions(model="none", initial="translation", refine=4, device="cpu")
SOFT, HARD = (0.0, 0.1), (0.1, 0.8)


class Answers:
    """Takes a session's answers and faults and lets a test wait for them."""

    def __init__(self) -> None:
        self.all: list[Answer] = []
        self.queue: queue.Queue[Answer | Exception] = queue.Queue()

    def __call__(self, answer: Answer) -> None:
        self.all.append(answer)
        self.queue.put(answer)

    def fault(self, error: Exception) -> None:
        self.queue.put(error)

    def final(self, number: int | None = None) -> Answer:
        while True:
            answer = self.queue.get(timeout=SOON)
            if isinstance(answer, Exception):
                raise answer
            if answer.final and number in (None, answer.number):
                return answer


def foresee_all(session: Session) -> None:
    """Wait until all derivatives are there: what is left is done after the final answer."""
    end = monotonic() + SOON
    while not session.foresees:
        assert monotonic() < end
        sleep(0.01)


def ask(session: Session, values: Values) -> list[Answer]:
    answers = Answers()
    number = session.submit(values, answers, answers.fault)
    assert answers.final(number).number == number
    return answers.all
