"""Everything a run changes while it trains, and how it begins or goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import RegistrationNetwork, build

from .checkpoint import FILE, Origin, load
from .config import TrainingConfig
from .inheritance import take_over, tuned
from .journal import Start
from .place import SharedFault

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


@dataclass(eq=False)
class TrainingState:
    """A run between two steps.

    Attributes:
        model: the network as Fabric wraps it.
        precision: of Fabric, whose scale of the gradients changes in 16-bit training.
        origin: what a run that takes it up must share.
        starts: of the processes that made the weights what they are, in order.
        ancestor: ``model``, ``sha256`` and ``supervision`` of the model that the weights set out
            from; empty where they were drawn at random.
        best: weights of the best validation so far; empty before the first.
    """

    model: Any
    precision: Precision
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    origin: Origin
    starts: list[Start] = field(default_factory=list)
    ancestor: dict[str, str] = field(default_factory=dict)
    step: int = 0
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    best_worth: float = float("-inf")
    best_step: int = 0

    @property
    def network(self) -> RegistrationNetwork:
        """The network itself, without what Fabric put around it."""
        return cast(RegistrationNetwork, self.model.module)

    def table(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "model": self.network.state_dict(),
            "precision": self.precision.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "best": self.best,
            "best_worth": self.best_worth,
            "best_step": self.best_step,
            "origin": dict(self.origin),
            "starts": self.starts,
            "ancestor": self.ancestor,
        }

    def keep(self, worth: float) -> None:
        """Remember the weights as they are if ``worth`` is the highest so far."""
        if worth > self.best_worth:
            self.best_worth, self.best_step = worth, self.step
            state = self.network.state_dict()
            self.best = {name: t.detach().cpu().clone() for name, t in state.items()}


def begin(config: TrainingConfig, fabric: Fabric, run: Path, mine: Origin) -> TrainingState:
    """A fresh state, or the one of the checkpoint in ``run``, which must be of ``mine``.

    Raises:
        InputError: the checkpoint is of another run or damaged; ``start_from`` names
            no model.
    """
    fabric.seed_everything(config.seed, verbose=False)
    model, resumes = build(config.model), _resumes(fabric, run)
    begun_with, rate = config.optimisation.start_from, config.optimisation.learning_rate
    fresh = begun_with and not resumes
    ancestor, anew = take_over(model, begun_with) if fresh else ({}, set())
    weights = tuned(model, config.optimisation.tuned, anew)
    wrapped, optimizer = fabric.setup(model, torch.optim.Adam(weights, lr=rate))
    total = config.optimisation.steps + 1
    rises = max(WARM_UP, 2 / total)  # for one step or more: PyTorch divides by their number
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=total, pct_start=rises
    )
    precision = fabric.strategy.precision
    state = TrainingState(wrapped, precision, optimizer, schedule, mine, ancestor=ancestor)
    if resumes:
        _resume(state, run)
    return state


def _resumes(fabric: Fabric, run: Path) -> bool:
    """Whether there is a checkpoint, which all processes must see."""
    here = (run / FILE).exists()
    share = fabric.all_reduce(torch.tensor(float(here)), reduce_op="mean")
    if float(cast(torch.Tensor, share)) not in (0.0, 1.0):
        raise SharedFault(
            f"{run / FILE}, which only some processes of this run find",
            "one folder that all nodes share",
        )
    return here


def _resume(state: TrainingState, run: Path) -> None:
    held = load(run, state.origin)
    try:
        state.network.load_state_dict(held["model"])
        state.precision.load_state_dict(held["precision"])
        state.optimizer.load_state_dict(held["optimizer"])
        state.schedule.load_state_dict(held["schedule"])
        state.step, state.best = held["step"], held["best"]
        state.best_worth, state.best_step = held["best_worth"], held["best_step"]
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{run / FILE}, a checkpoint of another network ({' '.join(str(error).split()):.80}…)",
            "one that this version of the program has written",
            "name another folder with --out",
        ) from error
    state.starts, state.ancestor = held.get("starts", []), held.get("ancestor", {})
