"""The session: prepares a pair once, answers every (λ, μ), latest wins."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from time import perf_counter
from types import TracebackType
from typing import TypeVar

import numpy as np
import torch

from ..engine import (
    AlignedPair,
    NetworkField,
    Progress,
    RegistrationRequest,
    RegistrationResult,
    Run,
    align_pair,
    answer_where_it_fits,
    bind_model,
    enough_memory,
    model_choice,
)
from ..engine.check import check_request, pick_device
from ..engine.elasticity import EVERYWHERE, check_tissues
from ..engine.report import peak_memory_mib
from ..engine.run import never, silent
from ..engine.threads import give_back_threads
from ..errors import Cancelled, InputError
from ..estimation import (
    Estimate,
    EstimateOptions,
    Evidence,
    Readouts,
    Sensitivity,
    Setting,
    Surface,
    estimate,
    readouts,
)
from ..estimation import sensitivity as spread
from ..estimation.evidence import usual_objective
from ..field import elastic_part, world_points
from ..types import Elasticity, Grid, Image, LabelMap
from ..weights import ModelCard
from .answer import Answer, SessionInputs, Stage
from .compared import answers, scored
from .devices import pick
from .fields import Fields, OnGrid
from .live import Live
from .measure import Measure
from .opening import first_notes, live_choice, preview_note, request_of
from .values import Values, listed, setting, with_neighbours
from .worker import Turn, Worker

T = TypeVar("T")
_serial = count(1)


class Session:
    """One pair of images, live: every new (λ, μ) is answered at once, then refined.

    The constructor aligns the pair and computes all that does not depend on λ and μ, which takes
    seconds. After that one thread does all the work; ``submit``, ``cancel`` and the attributes
    never wait for it. Sessions share nothing.

    Args:
        fixed: image whose frame the answers live in.
        moving: image to be warped.
        labels: tissues of the fixed image; without them one (λ, μ) holds everywhere.
        model: ``auto`` (a trained model where one fits), ``none`` (the solver alone) or a name.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        inputs: what else is known.

    Attributes:
        tissues: names that may be given a (λ, μ) of their own.
        grid: where answers live: covers the fixed image, coarser where that is large.
        initial: (D+1, D+1) RAS mm, fixed → moving points, part of every answer.
        model_name: of the model that answers, ``none`` for the solver alone.

    Raises:
        InputError: the pair cannot be registered as it is; the named model does not know all of
            its tissues.
    """

    def __init__(
        self,
        fixed: Image,
        moving: Image,
        labels: LabelMap | None = None,
        model: str = "auto",
        device: str = "auto",
        inputs: SessionInputs | None = None,
    ) -> None:
        given = inputs or SessionInputs()
        self._request = request = request_of((fixed, moving, labels), given, model, device)
        check_request(request)
        self._run = Run()
        choice = live_choice(request)
        with enough_memory(request):
            self._pair = align_pair(request, pick(device), self._run)
            self._fields = Fields(request, self._pair, choice.card)
            self._measure = Measure(request, self._pair, self._fields.solver.grid)
        self._notes = first_notes(request, choice, self._pair.prepared.similarity)
        self.model_name = self._fields.model_name
        self.tissues = self._fields.tissues
        self.grid: Grid = self._fields.solver.grid
        self._notes += preview_note(self.grid, request.fixed.grid)
        self.initial: np.ndarray = self._pair.initial
        self._live = Live(self._fields, given.refine)
        self._asked = Setting(given.elasticity)
        self._worker = Worker(f"elastic-hyperreg-session-{next(_serial)}")
        self._finish = weakref.finalize(self, self._worker.close)
        give_back_threads()

    @classmethod
    def from_request(cls, request: RegistrationRequest) -> Session:
        """The session of a request; its (λ, μ) for everywhere holds where none is given later."""
        options = request.options
        inputs = SessionInputs(
            moving_labels=request.moving_labels,
            fixed_mask=request.fixed_mask,
            moving_mask=request.moving_mask,
            fixed_points=request.fixed_points,
            moving_points=request.moving_points,
            initial=options.initial,
            seed=options.seed,
            refine=options.refine,
            elasticity=options.elasticity,
            sliding=options.sliding,
            similarity=options.similarity,
        )
        pair = (request.fixed, request.moving, request.fixed_labels)
        return cls(*pair, options.model, options.device, inputs)

    @property
    def device(self) -> str:
        """Where it runs, after any fall-back."""
        return self._fields.rung.device.type

    @property
    def foresees(self) -> bool:
        """Whether all derivatives are there: any new (λ, μ) has a preview within a frame."""
        return self._live.foresees

    @property
    def notes(self) -> tuple[str, ...]:
        """What fell back and why, one line each."""
        return (*self._notes, *self._fields.notes)

    def register(
        self,
        elasticity: Values,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> RegistrationResult:
        """The exact answer on the fixed image's own grid; waits for it.

        It does not depend on what was answered before: ``engine.register`` gives the same field
        for the same request, bit for bit. Live requests go first.

        Raises:
            InputError: a tissue is not there; the session is closed.
            Cancelled: ``cancelled`` said so, or ``cancel`` or ``close`` was called.
        """
        asked = self._setting(elasticity)
        options = replace(
            self._request.options, elasticity=asked.default, tissues=dict(asked.tissues)
        )
        request = replace(self._request, options=options)
        return self._worker.run(
            lambda stop: self._register(request, Run(progress or silent, _either(stop, cancelled)))
        )

    def submit(
        self,
        elasticity: Values,
        on_result: Callable[[Answer], None],
        on_error: Callable[[Exception], None] | None = None,
    ) -> int:
        """Ask for the field of new (λ, μ); returns the request's number at once.

        The latest request wins: the one before it is dropped at its next iteration, and no answer
        of it is delivered from then on; where its last one is just being taken, ``on_result`` may
        still be at work (``Answer.number`` tells which request it is of). Answers become better
        one by one; the last is ``final``. Both functions are called from the session's thread: a
        shell passes on what it is given. A fault ends this request, not the session; without
        ``on_error`` it is logged.

        Raises:
            InputError: a tissue is not there; the session is closed.
        """
        self._asked = asked = self._setting(elasticity)
        return self._worker.submit(lambda turn: self._answer(asked, turn, on_result), on_error)

    def estimate(
        self,
        objective: str | Mapping[str, float] | EstimateOptions | None = None,
        method: str | None = None,
        on_progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        start: Values | None = None,
        on_surface: Callable[[Surface], None] | None = None,
    ) -> Estimate:
        """(λ, μ) of each tissue for this subject, by the fields that answer live; waits for it.

        Args:
            objective: see ``EstimateOptions``, or the whole of them with method and start; by
                default labels of both images (``inputs``), else landmarks, else likeness.
            method: see ``EstimateOptions``; ``grid`` where it is not given.
            on_progress: told the fraction done.
            cancelled: true stops it.
            start: values that the search starts from and goes back to on ties.
            on_surface: given every response surface by the session's thread; see
                ``estimation.estimate``.

        Raises:
            InputError: the evidence does not allow the objective; method or start is given
                besides the whole options; a tissue is not there; the session is closed.
            Cancelled: ``cancelled`` said so, or ``cancel`` or ``close`` was called.
        """
        options = self._estimate_options(objective, method, start)
        evidence = Evidence.of(self._request, self.initial)

        def work(stop: Callable[[], bool]) -> Estimate:
            halt = _either(stop, cancelled)
            start = Setting(options.elasticity, options.tissues)
            model = scored(self._fields, start, stopping(halt))
            return estimate(model, evidence, options, on_progress, halt, on_surface)

        return self._errand(work)

    def sensitivity(
        self,
        settings: Sequence[Values] | Values | None = None,
        on_progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Sensitivity:
        """Where the field depends on λ and μ rather than on the images; waits for it.

        Args:
            settings: that are compared, such as ``Estimate.plausible()``; or one, which is
                compared with its neighbours, one tissue moved at a time, by default the one
                submitted last.
            on_progress: told the fraction done.
            cancelled: true stops it.

        Raises:
            InputError: fewer than two settings; a tissue is not there; the session is closed.
            Cancelled: ``cancelled`` said so, or ``cancel`` or ``close`` was called.
        """
        given = [self._asked] if settings is None else listed(settings)
        compared = [self._setting(values) for values in given]
        first = compared[0] if compared else self._asked
        if len(compared) == 1:
            compared = with_neighbours(first, self.tissues)

        def work(stop: Callable[[], bool]) -> Sensitivity:
            halt, labels = _either(stop, cancelled), self._request.fixed_labels
            compares = answers(self._fields, first, self._live.patience, stopping(halt))
            model = OnGrid(compares, self.grid)
            return spread(model, compared, labels, self.initial, on_progress, halt)

        return self._errand(work)

    def readouts(self, answer: Answer) -> Readouts:
        """Strain, relative stress and equilibrium residual of an answer, as maps and by tissue.

        Of its elastic part, without the initial alignment; see ``estimation.readouts``.
        """
        u_mm = answer.displacement.u_mm
        d_mm = elastic_part(u_mm, world_points(self.grid, u_mm), self.initial)
        setting = Setting.read(dict(answer.elasticity))
        labels, sliding = self._request.fixed_labels, self._request.options.sliding
        nodes = self._fields.solver.field_grid
        return readouts(d_mm, self.grid, setting, labels, sliding, nodes)

    def cancel(self) -> None:
        """Drop what is queued and running; nothing of it is delivered. The session goes on."""
        self._worker.cancel()

    def close(self) -> None:
        """Stop the work and end the thread; may be called again."""
        self._finish.detach()
        self._worker.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _setting(self, values: Values) -> Setting:
        return setting(values, self._request.options.elasticity, self.tissues)

    def _estimate_options(
        self,
        objective: str | Mapping[str, float] | EstimateOptions | None,
        method: str | None,
        start: Values | None,
    ) -> EstimateOptions:
        if not isinstance(objective, EstimateOptions):
            first = self._setting({} if start is None else start)
            way = method or "grid"
            wanted = usual_objective(self._request, way) if objective is None else objective
            return EstimateOptions(wanted, way, elasticity=first.default, tissues=first.tissues)
        if method is not None or start is not None:
            raise InputError(
                "a method or a start besides the whole options of an estimate",
                "either of them",
                "put them into the options",
            )
        # A field with one setting everywhere is still searched from each tissue's own start.
        check_tissues(objective.tissues, self._request.fixed_labels)
        return objective

    def _errand(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Have ``work`` done by the thread, as far as memory lasts, and wait for it."""

        def done(stop: Callable[[], bool]) -> T:
            with enough_memory(self._request):
                return self._fields.guarded(lambda: work(stop))

        return self._worker.run(done)

    def _answer(self, asked: Setting, turn: Turn, on_result: Callable[[Answer], None]) -> None:
        names = self.tissues or (EVERYWHERE,)
        values: dict[str, Elasticity] = {name: asked.of(name) for name in names}

        def deliver(stage: Stage, d_mm: torch.Tensor, final: bool) -> None:
            turn.check()
            displacement, jacobian = self._measure.whole(d_mm)
            metrics = {
                **self._measure.regularity(jacobian, final),
                **(self._measure.evidence(displacement.u_mm) if final else {}),
                "elasticity": {name: [v.lam, v.mu] for name, v in values.items()},
                "model": self.model_name,
                "device": self.device,
                "arithmetic": self._fields.arithmetic,
            }
            seconds = perf_counter() - turn.began
            turn.deliver(
                on_result,
                Answer(turn.number, values, stage, displacement, jacobian, metrics, final, seconds),
            )

        self._live.answer(asked, turn, deliver)

    def _register(self, request: RegistrationRequest, run: Run) -> RegistrationResult:
        begin = perf_counter()
        choice = model_choice(request)
        device = pick_device(request.options.device)
        pair = replace(self._pair, device=device)
        with enough_memory(request):
            result = answer_where_it_fits(request, pair, choice, self._bound, run)
        if note := result.metrics.get("device_note"):
            self._notes.append(f"register ran {note}")
        prepared = self._run.seconds  # when the session was opened
        total = sum(prepared.values()) + perf_counter() - begin
        seconds = {**prepared, **run.seconds, "total": total}
        return replace(result, metrics=result.metrics | {"seconds": seconds} | peak_memory_mib())

    def _bound(
        self, card: ModelCard, request: RegistrationRequest, pair: AlignedPair
    ) -> NetworkField:
        """The network that answers live where it is the one wanted, else another."""
        mine = self._fields.exact_network(card.name, pair.device)
        return bind_model(card, request, pair) if mine is None else mine


def stopping(halt: Callable[[], bool]) -> Callable[[], None]:
    """A check that raises ``Cancelled`` once ``halt`` says so."""

    def check() -> None:
        if halt():
            raise Cancelled("it was cancelled")

    return check


def _either(stop: Callable[[], bool], cancelled: Callable[[], bool] | None) -> Callable[[], bool]:
    return lambda: stop() or (cancelled or never)()
