"""A session whose answers wait until the thread that owns the scene fetches them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..field import jacobian_determinant, with_initial, world_points
from ..types import Displacement, Elasticity, Grid
from .inputs import PairInputs
from .options import ControllerOptions


def open_session(inputs: PairInputs, options: ControllerOptions) -> Any:
    """Prepare a pair; takes seconds.

    Raises:
        InputError: the pair cannot be registered as it is.
    """
    from ..session import Session, SessionInputs  # needs the models; the scene alone does not

    initial = options.initial
    more = SessionInputs(
        moving_labels=inputs.moving_labels,
        fixed_mask=inputs.fixed_mask,
        moving_mask=inputs.moving_mask,
        fixed_points=inputs.fixed_points,
        moving_points=inputs.moving_points,
        initial=initial if isinstance(initial, str) else tuple(map(tuple, initial)),
        seed=options.seed,
        refine=options.refine,
        similarity=options.similarity,
    )
    make = options.open_session or Session
    return make(inputs.fixed, inputs.moving, inputs.labels, options.model, options.device, more)


def rest_map(grid: Grid, initial: np.ndarray) -> tuple[Displacement, torch.Tensor]:
    """The initial alignment alone, as a displacement and its Jacobian (1, 1, *grid.shape)."""
    rest = torch.zeros(1, grid.ndim, *grid.shape)
    u_mm = with_initial(rest, world_points(grid, rest), initial)
    return Displacement(u_mm, grid), jacobian_determinant(u_mm, grid)


class LiveAnswers:
    """The newest answer of a session; older ones that were not fetched are dropped.

    A new setting waits until the one before has its first answer: each would otherwise be dropped
    for the next, and a slider in motion would show nothing. Of those that wait the last counts.

    Args:
        session: answers from its own thread.

    Attributes:
        unanswered: a setting was asked for that has no answer yet.
        waiting: one was asked for that has no final answer yet.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._turn = 0
        self._answer: Any = None
        self._error: Exception | None = None
        self._next: Mapping[str, Elasticity] | None = None
        self.unanswered = False
        self.waiting = False

    def submit(self, values: Mapping[str, Elasticity]) -> None:
        """Ask for new (λ, μ); what was asked before is no longer wanted.

        Raises:
            InputError: as ``Session.submit``.
        """
        if self.unanswered:
            self._next = values
            return
        self._next = None
        turn = self._next_turn()
        self._session.submit(
            values, lambda answer: self._take(turn, answer), lambda error: self._fault(turn, error)
        )
        self.waiting = self.unanswered = True

    def fetch(self) -> tuple[Any, Exception | None]:
        """The newest answer and the error that came since the last call; ``None`` for none."""
        with self._lock:
            answer, error = self._answer, self._error
            self._answer = self._error = None
        if answer is None and error is None:
            return None, None
        self.unanswered = False
        if self._next is not None:
            self.submit(self._next)
        elif error is not None or answer.final:
            self.waiting = False
        return answer, error

    def drop(self) -> None:
        """Nothing of what was asked is wanted any more.

        The session goes on by itself: to cancel it would stop an estimate or an export too.
        """
        self._next_turn()
        self._next, self.unanswered = None, False
        self.waiting = False

    def _next_turn(self) -> int:
        with self._lock:
            self._turn += 1
            self._answer = self._error = None
            return self._turn

    def _take(self, turn: int, answer: Any) -> None:
        with self._lock:
            if turn == self._turn:
                self._answer = answer

    def _fault(self, turn: int, error: Exception) -> None:
        with self._lock:
            if turn == self._turn:
                self._error = error
