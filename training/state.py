"""Everything a run changes while it trains, and how it begins or goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import (
    LapIRNOptions,
    ModelSpec,
    RegistrationNetwork,
    build,
    shown_channels,
)
from ElasticHyperRegLib.weights import load_model

from .checkpoint import FILE, Origin, load
from .config import TrainingConfig
from .journal import Start
from .place import SharedFault

FIRST_LAYER = re.compile(r"levels\.(\d+)\.encoder\.0\.weight")
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
    ancestor = _take_over(model, begun_with) if begun_with and not resumes else {}
    tuned = _tuned(model, config.optimisation.tuned)
    wrapped, optimizer = fabric.setup(model, torch.optim.Adam(tuned, lr=rate))
    total = config.optimisation.steps + 1
    rises = max(WARM_UP, 2 / total)  # for one step or more: PyTorch divides by their number
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=total, pct_start=rises
    )
    precision = fabric.strategy.precision
    state = TrainingState(wrapped, precision, optimizer, schedule, mine, ancestor=ancestor)
    if resumes:
        _resume(state, fabric, run)
    return state


def _tuned(model: RegistrationNetwork, patterns: tuple[str, ...]) -> list[torch.nn.Parameter]:
    """The weights that train: all, or those that a pattern names whole; the others are frozen."""
    if not patterns:
        return list(model.parameters())
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name, _ in model.named_parameters()):
            raise InputError(
                f"tuned {pattern!r}, which names no weight of {model.spec.name}",
                f"such as {next(iter(dict(model.named_parameters())))}",
            )
    for name, weight in model.named_parameters():
        weight.requires_grad_(any(re.fullmatch(pattern, name) for pattern in patterns))
    return [weight for weight in model.parameters() if weight.requires_grad]


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


def _resume(state: TrainingState, fabric: Fabric, run: Path) -> None:
    held = load(fabric, run, state.origin)
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


def _seen(spec: ModelSpec, layer: str) -> dict[str, int]:
    """What the first layer of a pyramid's level is shown → its channels, in order; else nothing."""
    number = FIRST_LAYER.fullmatch(layer)
    if number is None or not isinstance(spec.options, LapIRNOptions):
        return {}
    return shown_channels(spec, moved=int(number[1]) > 0)


def _fitted(
    given: torch.Tensor, own: torch.Tensor, seen: tuple[dict[str, int], dict[str, int]]
) -> torch.Tensor | None:
    """Weights for the place of ``own``, blind to what the model before did not see.

    Args:
        given: of the model before.
        own: what they are to replace.
        seen: what that layer is shown, in the model before and in this one.
    """
    before, now = seen
    if before == now:
        return given if given.shape == own.shape else None
    if before["pair"] != now["pair"] or given.shape[0] != own.shape[0]:
        return None
    parts = dict(zip(before, given.split(list(before.values()), dim=1), strict=True))
    blank = torch.zeros_like(own)
    return torch.cat([parts.get(what, blank[:, :n]) for what, n in now.items()], dim=1)


def _take_over(model: RegistrationNetwork, folder: str) -> dict[str, str]:
    """Weights of the model in ``folder`` wherever they fit; what its card says."""
    other, card = load_model(folder)
    for what in ("backbone", "ndim"):
        given, wanted = (getattr(spec, what) for spec in (other.spec, model.spec))
        if given != wanted:
            raise InputError(
                f"start_from {folder}, whose {what} is {given}", f"a model whose {what} is {wanted}"
            )
    own = model.state_dict()
    fitting: dict[str, torch.Tensor] = {}
    for name, tensor in other.state_dict().items():
        if name in own:
            seen = _seen(other.spec, name), _seen(model.spec, name)
            fitted = _fitted(tensor, own[name], seen)
            fitting |= {} if fitted is None else {name: fitted}
    if not fitting:
        raise InputError(f"start_from {folder}, of which no weight fits", "a model of one backbone")
    model.load_state_dict(own | fitting)
    return {
        "model": card.name,
        "sha256": card.sha256,
        "supervision": card.training.supervision,
    }
