"""Answers live requests one after the other, each better field as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import torch

from ..engine import ran_out
from ..engine.arithmetic import wait_for
from ..errors import Cancelled
from ..estimation.settings import Setting
from ..types import Elasticity
from .answer import Stage
from .fields import Fields
from .solver_field import EQUAL, HASTY, PATIENT, Held, SolverField
from .tangent import Tangent, parameters, tangents
from .worker import Turn

REFINE = {2: 30, 3: 20}
"""Passes of the solver after a network, by dimension."""
FRAME_S = 0.1
"""A network that answers sooner needs no preview before it: up to a tenth of a second a hand takes
an answer for its own doing (Nielsen, Usability Engineering, 1993)."""
REST_S = 0.1
"""A slower one waits so long for the slider to rest once a preview is shown, which is being drawn
meanwhile: of volumes it cannot be interrupted, and the next preview would wait for it."""
FINISH_S = 0.3
"""So long a settled field rests before it is gone over with finer images."""
FORESEE_S = 2.0
"""Until then a derivative may be begun while a field waits to be finished."""
LEAST_PASSES = 4
"""Of the solver after a network, for a field to be finished: fewer leave it rougher than it was."""
PAUSE_S = 0.3
"""After the last answer, before its derivatives, where others do meanwhile: it is being drawn."""

Check = Callable[[], None]
Deliver = Callable[[Stage, torch.Tensor, bool], None]
"""Told the stage, d (1, D, *grid.shape) RAS mm, and whether it is final; may raise to stop."""


@dataclass(frozen=True, eq=False)
class _Settled:
    """A field that was answered to the end, and how it changes as far as that is known.

    Attributes:
        whole: whether every derivative is that of this very field.
    """

    held: Held
    tangent: Tangent
    whole: bool


class Live:
    """What one pair's answers start from: the field on screen, and derivatives of a settled one.

    After a network the solver goes about as far as in ``engine.register``. Alone it goes on until
    the field settles, and then answers from one start, so that equal settings have equal final
    fields. Where the scan is finer than what is compared meanwhile, a field that rests is gone over
    with finer images.

    Args:
        fields: network and solver of the pair.
        refine: passes of the solver after a network, ``None`` for the usual.

    Attributes:
        patience: of the solver, after a network or alone.
    """

    def __init__(self, fields: Fields, refine: int | None = None) -> None:
        self._fields = fields
        self.patience = PATIENT
        if fields.network is not None:
            passes = REFINE[fields.solver.grid.ndim] if refine is None else refine
            self.patience = replace(PATIENT, passes=passes)
        self._solver = fields.solver
        self._shown: Held | None = None
        self._settled: _Settled | None = None
        self._base: torch.Tensor | None = None
        self._unfinished: Held | None = None
        self._network_seconds = 0.0

    @property
    def foresees(self) -> bool:
        """Whether every change of a setting is answered within a frame, foreseen or known."""
        complete = self._settled is not None and self._settled.tangent.complete
        return complete or self._network_is_quick()

    def answer(self, setting: Setting, turn: Turn, deliver: Deliver) -> None:
        """Deliver better and better fields for ``setting``, the last one final.

        Derivatives are computed after that, but before a field is finished where the next setting
        would have to wait for a slow network. The next answer starts from what was reached.

        Raises:
            Cancelled: the turn is over.
        """
        self._fields.guarded(lambda: self._answer(setting, turn, deliver))
        if self._unfinished is not None:
            if self._fields.network is not None and not self.foresees:
                self._differentiate_in_haste(setting, turn)
            self._fields.guarded(lambda: self._finish(setting, turn, deliver))
        if self.foresees and not turn.waited_for():
            turn.rest(PAUSE_S)
        self._fields.guarded(lambda: self._differentiate(setting, turn))

    def _answer(self, setting: Setting, turn: Turn, deliver: Deliver) -> None:
        solver = self._current_solver()
        values = solver.values(setting.default, setting.tissues)
        foreseen = self._foresee(values)
        if foreseen is not None and not self._network_is_quick():
            deliver("preview", solver.field(foreseen), False)
            if self._fields.network is not None:
                turn.rest(REST_S)
        finishes = self._fields.finishes and self.patience.passes >= LEAST_PASSES

        def settled(stage: Stage, d_mm: torch.Tensor, last: bool) -> None:
            deliver(stage, d_mm, last and not finishes)

        self._base = self._unfinished = None
        if self._fields.network is not None:
            held = self._ask_network(setting, turn.check, settled)
            self._base = held.u_vox
            held = self._settle("network", held, values, turn, settled)
        elif self._shown is None:
            self._shown = solver.anchor()
            held = self._settle("refined", self._shown, values, turn, settled)
        else:
            starts = [self._shown, *([foreseen] if foreseen else [])]
            held = self._settle_again(starts, values, turn, settled)
        if finishes:
            self._unfinished = held

    def _settle(
        self, stage: Stage, held: Held, values: Sequence[Elasticity], turn: Turn, deliver: Deliver
    ) -> Held:
        """Refine what has been delivered as ``stage``, to the end."""
        if self.patience.passes == 0:
            return held
        last = False
        for better, last in self._solver.refine(held, values, turn.check, self.patience):
            self._shown = held = better
            stage = "refined"
            deliver(stage, self._solver.field(held), last)
        if not last:  # the solver found nothing better
            deliver(stage, self._solver.field(held), True)
        return held

    def _settle_again(
        self, starts: Sequence[Held], values: Sequence[Elasticity], turn: Turn, deliver: Deliver
    ) -> Held:
        """By way of fields near what is on screen to the one that ``values`` alone determine.

        Where the way ends hangs on where it began as much as on ``values``, by a millimetre in
        places that the images say little of: none of its fields is final.
        """
        solver, detail_mm = self._solver, starts[0].detail_mm
        for near, _ in solver.refine(solver.better(starts, values), values, turn.check, HASTY):
            self._shown = near
            deliver("refined", solver.field(near), False)
        held = solver.refined(solver.anchor(), values, turn.check, self.patience)
        # What finer images told of the field before stays in sight until they tell of this one.
        self._shown = replace(held, detail_mm=detail_mm)
        deliver("refined", solver.field(self._shown), True)
        return held

    def _finish(self, setting: Setting, turn: Turn, deliver: Deliver) -> None:
        """Go over the settled field with finer images, once it has rested."""
        turn.rest(FINISH_S)
        self._current_solver()
        if self._unfinished is None:  # there is another solver now
            self._answer(setting, turn, deliver)
        held, solver = self._unfinished, self._solver
        if held is None:
            return
        coarse_mm = solver.field(Held(held.u_vox))
        finer, last = self._finished(held, setting, turn.check), False
        while not last and (better := self._next(finer)) is not None:
            d_mm, last = better
            self._show_detail(Held(held.u_vox, d_mm - coarse_mm))
            deliver("refined", d_mm, last)
        if not last:  # they tell nothing else
            self._show_detail(held)
            deliver("refined", solver.field(held), True)

    def _finished(
        self, held: Held, setting: Setting, check: Check
    ) -> Iterator[tuple[torch.Tensor, bool]]:
        values = self._solver.values(setting.default, setting.tissues)
        d_mm, passes = self._solver.field(held), self.patience.passes
        yield from self._fields.finisher(check).finished(d_mm, values, check, passes)

    def _next(self, finer: Iterator[tuple[torch.Tensor, bool]]) -> tuple[torch.Tensor, bool] | None:
        """The next of the finer fields; none where memory ends, which costs nothing but them."""
        try:
            return next(finer, None)
        except Exception as error:  # all but a lack of memory is raised again
            self._fields.leave_unfinished(error)
            return None

    def _show_detail(self, held: Held) -> None:
        """The field on screen is finer than before, and foreseen ones with it."""
        if self._settled is not None and self._settled.held is self._shown:
            self._settled = replace(self._settled, held=held)
        self._shown = held

    def _differentiate_in_haste(self, setting: Setting, turn: Turn) -> None:
        """As ``_differentiate``; none is begun while an errand waits, or after a while."""
        begun = perf_counter()

        def hurry() -> None:
            turn.check()
            if turn.waited_for() or perf_counter() - begun > FORESEE_S:
                raise Cancelled("there is no time for more derivatives")

        try:
            hasty = replace(turn, give_way=hurry)
            self._fields.guarded(lambda: self._differentiate(setting, hasty))
        except Cancelled:
            turn.check()
        except Exception as error:  # told when the rest is computed, after the final answer
            if not ran_out(error):
                raise

    def _differentiate(self, setting: Setting, turn: Turn) -> None:
        """Find out how the field on screen changes, unless a quick network tells.

        What is not known at all comes first, for a preview of every slider as soon as may be; of
        the rest, the tissues that were moved.
        """
        if self._network_is_quick():
            return
        values = self._current_solver().values(setting.default, setting.tissues)
        last, held = self._settled, self._shown
        if held is None or (last and last.whole and last.tangent.values == values):
            return
        known = last.tangent.slopes if last else {}
        now, before = parameters(values), parameters(last.tangent.values if last else values)
        order = sorted(range(len(now)), key=lambda n: (n in known, now[n] == before[n]))
        respond = partial(self._response, setting, turn)
        if self._base is None:
            self._base = respond(values)
        found = tangents(values, self._base, respond, order, known)
        for done, tangent in enumerate(found, start=1):
            self._settled = _Settled(held, tangent, done == len(order))

    def _current_solver(self) -> SolverField:
        """The solver; after falling back it is a new one, and what was held is of no use."""
        if self._solver is not self._fields.solver:
            self._solver = self._fields.solver
            self._shown = self._settled = self._base = self._unfinished = None
        return self._solver

    def _network_is_quick(self) -> bool:
        return 0 < self._network_seconds < FRAME_S

    def _ask_network(self, setting: Setting, check: Check, deliver: Deliver) -> Held:
        check()
        begin = perf_counter()
        d_mm = self._fields.network_answer(setting, check)
        wait_for(d_mm.device)
        self._network_seconds = perf_counter() - begin
        deliver("network", d_mm, self.patience.passes == 0)
        self._shown = held = self._solver.hold(d_mm)
        return held

    def _foresee(self, values: Sequence[Elasticity]) -> Held | None:
        """The field that the derivatives foretell, where they are known."""
        if self._settled is None:
            return None
        held = self._settled.held
        u_vox = self._settled.tangent.foresee(held.u_vox, values)
        return None if u_vox is None else Held(u_vox, held.detail_mm)

    def _response(self, setting: Setting, turn: Turn, values: Sequence[Elasticity]) -> torch.Tensor:
        """The field under values near those of ``setting``, in the solver's own unknowns."""
        turn.give_way()
        solver = self._solver
        if solver is not self._fields.solver:  # an errand has had to fall back meanwhile
            raise Cancelled("the derivatives of a field that is not held any more")
        if self._fields.network is not None:
            near = Setting(values[0])
            if solver.tissues:
                named = dict(zip(solver.tissues, values, strict=True))
                near = Setting(setting.default, {t: named[t] for t in self._fields.tissues})
            return solver.hold(self._fields.network_answer(near, turn.check)).u_vox
        start = self._shown or solver.anchor()
        return solver.refined(start, values, turn.give_way, EQUAL).u_vox
