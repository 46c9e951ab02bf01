"""What computes the fields of one pair, and what it falls back to when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from math import inf
from typing import TypeVar

import torch

from ..engine import (
    AlignedPair,
    FieldModel,
    NetworkField,
    NetworkOptions,
    RegistrationRequest,
    ran_out,
)
from ..engine.elasticity import tissue_names
from ..engine.memory import first_line
from ..engine.network_grid import network_grid
from ..engine.prepare import problem_of
from ..engine.request import AUTO, DEFAULT_ELASTICITY, NONE
from ..engine.sliding import bands
from ..estimation.settings import Setting
from ..field import to_grid
from ..solver import Problem, is_far_off
from ..types import Displacement, Elasticity, Grid
from ..weights import ModelCard, load_model
from .budget import MEASURED, ROOM, affordable, seconds_of_pass
from .devices import NETWORK_BYTES, SOLVER_BYTES, Rung, empty_caches, free_bytes, ladder
from .finish import FineField, Finisher, finer_images
from .objective import tissue_shares
from .solver_field import BUDGET, SolverField, images_grid

T = TypeVar("T")
MIB = 2**20
FAR_OFF = "{} is far off for this pair: the solver answers"


class Fields:
    """Network and solver bound to one pair, on the best device and grid that memory allows.

    Args:
        request: checked; its λ and μ are not looked at, its borders that slide are.
        pair: made ready.
        card: of the model; ``None`` for the solver alone.

    Attributes:
        grid: where answers live; falling back later does not change it.
        tissues: that obey a (λ, μ) of their own.
        network: the model bound to the pair, ``None`` where there is none.
        solver: the solver bound to it; another one after falling back.
        notes: what fell back and why, one line each.

    Raises:
        InputError: the weights are not those of the card.
    """

    network: NetworkField | None
    solver: SolverField
    _finer: Grid | None
    _finisher: Finisher | None

    def __init__(
        self, request: RegistrationRequest, pair: AlignedPair, card: ModelCard | None
    ) -> None:
        self._request, self._pair, self._card = request, pair, card
        self.tissues = _obeyed(request, card)
        self.grid: Grid | None = None
        self._affordable = BUDGET
        self.notes: list[str] = []
        self._ladder = ladder(pair.device)
        self._leave_out_what_cannot_fit()
        self._settle()

    @property
    def rung(self) -> Rung:
        """On what it runs."""
        return self._ladder[0]

    @property
    def finishes(self) -> bool:
        """Whether there are finer images for a field at rest, and room for them."""
        return self._finer is not None

    @property
    def model_name(self) -> str:
        """What answers first: the network, or the solver where there is none."""
        return NONE if self.network is None else self.network.name

    def exact_network(self, name: str, device: torch.device) -> NetworkField | None:
        """The network, where it is of that name and runs as ``engine.register`` would there."""
        mine = self.network
        if mine is None or mine.name != name or mine.dtype != torch.float32:
            return None
        exact = device.type == "cpu" and self.rung == Rung(device, 1.0)
        return mine if exact else None

    @property
    def arithmetic(self) -> str:
        """What the live network is computed in."""
        dtype = torch.float32 if self.network is None else self.network.dtype
        return str(dtype).removeprefix("torch.")

    def guarded(self, work: Callable[[], T]) -> T:
        """``work()``; where it runs out of memory, again after each step down."""
        while True:
            try:
                return work()
            except Exception as error:  # all but a lack of memory is raised again
                self._step_down(error)
            empty_caches()  # not before the error is gone, whose traceback holds what filled it
            self._settle()

    def network_answer(self, setting: Setting, check: Callable[[], None]) -> torch.Tensor:
        """What the network says: (1, D, *grid.shape) RAS mm; ``check`` may raise to stop it."""
        if self.network is None:
            raise RuntimeError("there is no network")
        d_mm = self.network.displacement(setting.default, setting.tissues, check)
        return to_grid(d_mm, self.network.grid, self.solver.grid)

    def leave_unfinished(self, error: Exception) -> None:
        """Finish no field on this rung; raise ``error`` where memory is not the matter."""
        if not self._is_lack(error):
            raise error
        self._finer = self._finisher = None
        self.notes.append(f"answers are not gone over with finer images: {first_line(error)}")

    def finisher(self, check: Callable[[], None] = lambda: None) -> Finisher:
        """What goes over a settled field with finer images; made when it is first asked for.

        ``check`` may raise to stop that.

        Raises:
            RuntimeError: there are none, see ``finishes``.
        """
        if self._finisher is None:
            images, device = self._finer, self.rung.device
            if images is None:
                raise RuntimeError("there are no finer images")
            problem = problem_of(self._pair.prepared, (0.0, 0.0), self._pair.initial, device)
            shares, band = self._shares(images, device, check), self._band(device)
            check()
            fine = FineField(problem, images, shares, images.voxels, band)
            self._finisher = Finisher(fine, self.solver.grid)
        return self._finisher

    def _settle(self) -> None:
        """Bind everything on the first rung that bears it."""
        while True:
            try:
                self._bind()
            except Exception as error:
                self._step_down(error)
            else:
                return
            empty_caches()

    def _bind(self) -> None:
        device, coarsening = self.rung.device, self.rung.coarsening
        prepared, initial = self._pair.prepared, self._pair.initial
        self.network = self._finer = self._finisher = said = None
        if self._card is not None:
            options = NetworkOptions(quick=True, coarsening=coarsening)
            model, labels = load_model(self._card.folder), self._request.fixed_labels
            self.network = NetworkField(model, prepared, initial, labels, device, options)
            said = Displacement(
                self.network.displacement(DEFAULT_ELASTICITY, {}), self.network.grid
            )
        problem = problem_of(prepared, (0.0, 0.0), initial, device)
        if said is not None and self._is_far_off(problem, said):
            self._leave_model()
        if self.grid is None:
            self.grid = self._wanted(problem)
        grid = self.grid
        budget = self._budget(grid, coarsening)
        images = images_grid(grid, budget)
        shares, band = self._shares(images, device), self._band(device)
        self.solver = SolverField(problem, grid, shares, budget, band)
        self._finer = self._finer_than(images)
        if self.network is None:
            self.solver.anchor()

    def _is_far_off(self, problem: Problem, said: Displacement) -> bool:
        """Whether ``auto`` had better not have taken the model; asked once, of its default."""
        if self._request.options.model != AUTO or self.grid is not None:
            return False
        lam, mu = DEFAULT_ELASTICITY.lam, DEFAULT_ELASTICITY.mu
        return is_far_off(replace(problem, lam=lam, mu=mu), said, lambda fraction: None)

    def _leave_model(self) -> None:
        self.notes.append(FAR_OFF.format(self.model_name))
        self.network = self._card = None
        self.tissues = _obeyed(self._request, None)

    def _wanted(self, problem: Problem) -> Grid:
        """Where answers live: on a processor the network's own grid, else what can be afforded."""
        fixed, device = self._pair.grid, self.rung.device
        if device.type in MEASURED:

            def seconds(budget: int) -> float:
                if not self._has_room(budget):
                    return inf
                tried = SolverField(problem, images_grid(fixed, budget), {}, budget)
                try:
                    return seconds_of_pass(tried)
                except Exception as error:
                    if not ran_out(error):
                        raise
                    return inf  # a trial costs no device

            self._affordable = affordable(seconds, fixed.voxels)
        own = None if self.network is None else self.network.grid
        finer = device.type in MEASURED and own is not None and own.voxels < self._affordable
        return images_grid(fixed, self._affordable) if own is None or finer else own

    def _finer_than(self, images: Grid) -> Grid | None:
        """Finer images than ``images``, unless voxels had to be made larger or there is no room."""
        finer = finer_images(self._pair.grid, images.voxels)
        if finer is None or self.rung.coarsening > 1 or not self._has_room(finer.voxels):
            return None
        return finer

    def _has_room(self, voxels: int) -> bool:
        """Whether the solver may compare so many without filling the device."""
        free = free_bytes(self.rung.device)
        return free is None or self._bytes_each() * voxels <= ROOM * free

    def _shares(
        self, images: Grid, device: torch.device, check: Callable[[], None] = lambda: None
    ) -> dict[str, torch.Tensor]:
        labels = self._request.fixed_labels
        if labels is None or not self.tissues:
            return {}
        shares = tissue_shares(labels, images, check)
        return {tissue: share.to(device) for tissue, share in shares.items()}

    def _band(self, device: torch.device) -> torch.Tensor | None:
        return None if self._sliding is None else self._sliding.to(device)

    @cached_property
    def _sliding(self) -> torch.Tensor | None:
        """What borders that slide leave of μ; kept, as distances over a whole scan take seconds."""
        labels, borders = self._request.fixed_labels, self._request.options.sliding
        if labels is None or not borders:
            return None
        return bands(labels, tissue_names(labels), borders)

    def _leave_out_what_cannot_fit(self) -> None:
        free = free_bytes(self.rung.device)
        while free is not None and len(self._ladder) > 1 and self._needed() > free:
            needed, device = self._needed() // MIB, self.rung.device
            self._next_rung(f"about {needed} MiB are needed, {free // MIB} MiB are free")
            if self.rung.device != device:
                free = free_bytes(self.rung.device)

    def _bytes_each(self) -> int:
        """Of a voxel that the solver compares: its own, and the share of every tissue, twice."""
        return SOLVER_BYTES + 8 * len(self.tissues)

    def _needed(self) -> int:
        """Bytes that the first rung takes, roughly."""
        fixed, coarsening = self._pair.grid, self.rung.coarsening
        needed = self._bytes_each() * self._budget(fixed, coarsening) + 8 * fixed.voxels
        if self._card is not None:
            needed += NETWORK_BYTES * network_grid(self._card, fixed, coarsening).voxels
        return needed

    def _budget(self, grid: Grid, coarsening: float) -> int:
        """Voxels of the images that the solver compares."""
        most = self._affordable if self.rung.device.type in MEASURED else BUDGET
        return int(min(most, grid.voxels) / coarsening**grid.ndim)

    def _step_down(self, error: Exception) -> None:
        """Go to the next rung; raise ``error`` where there is none or memory is not the matter."""
        if len(self._ladder) == 1 or not self._is_lack(error):
            raise error
        self._next_rung(first_line(error))

    def _is_lack(self, error: Exception) -> bool:
        """Whether the device lacks memory, or, of another than a processor, a part."""
        ours = isinstance(error, NotImplementedError) and self.rung.device.type == "cpu"
        return ran_out(error) and not ours

    def _next_rung(self, reason: str) -> None:
        before = self._ladder.pop(0)
        self.notes.append(f"runs on {self.rung} instead of {before}: {reason}")


class OnGrid:
    """A ``FieldModel`` as the session shows it: on its grid, which stays, and on the processor.

    Args:
        model: of one device and grid.
        grid: of the answers.
    """

    def __init__(self, model: FieldModel, grid: Grid) -> None:
        self._model, self.grid = model, grid
        self.name, self.tissues = model.name, model.tissues

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        """d, (1, D, *grid.shape) RAS mm; see ``FieldModel.displacement``."""
        d_mm = self._model.displacement(default, tissues)
        return to_grid(d_mm, self._model.grid, self.grid).cpu()


def _obeyed(request: RegistrationRequest, card: ModelCard | None) -> tuple[str, ...]:
    """Tissues of the fixed labels that can have a (λ, μ) of their own, in the labels' order."""
    if request.fixed_labels is None:
        return ()
    names = tuple(dict.fromkeys(tissue_names(request.fixed_labels).values()))
    if card is None or card.model.conditioning == "map":
        return names
    return tuple(name for name in names if name in card.model.tissues)
