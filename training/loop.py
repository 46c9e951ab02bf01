"""The training loop, on Lightning Fabric: the same code on a processor, one GPU or many nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from .batches import Batch, training_batch
from .conditioning import condition, draw_for, predict
from .config import TrainingConfig
from .data.pair import PairSource
from .journal import Journal
from .loss import Measure, equally_loud, objective, soft_dice_loss, warp_batch
from .picture import write_picture
from .state import TrainingState, begin, write
from .validation import validate

LOG_EVERY = 10
Progress = Callable[[int, float], None]
"""Told the steps done and the last loss."""


@dataclass(frozen=True, eq=False)
class Sources:
    """What is trained on and what is looked at while training."""

    train: PairSource
    validation: PairSource


def fit(
    config: TrainingConfig, sources: Sources, fabric: Fabric, run: Path, progress: Progress
) -> TrainingState:
    """Train until the steps are done, from the checkpoint in ``run`` if there is one.

    A step depends on the seed, its number and the rank alone, so a run that was killed goes on
    as if it had not been.

    Raises:
        InputError: a checkpoint that cannot be written or is not of this run.
        FloatingPointError: the loss is no number any more.
    """
    state = begin(config, fabric, run)
    journal = Journal(run, state.step) if fabric.is_global_zero else None
    while state.step < config.optimisation.steps:
        loss = _step(config, sources.train, fabric, state)
        state.step += 1
        if journal and state.step % LOG_EVERY == 0:
            rate = state.schedule.get_last_lr()[0]
            journal.step(state.step, {"loss": loss, "learning_rate": float(rate)})
        progress(state.step, loss)
        if state.step % config.validation.every == 0 or state.step == config.optimisation.steps:
            _look(config, sources.validation, state, journal, run)
            write(state, config, fabric, run)
    return state


def _step(
    config: TrainingConfig, source: PairSource, fabric: Fabric, state: TrainingState
) -> float:
    """One update of the weights; the mean loss of its batches."""
    options = config.optimisation
    state.model.train()
    total = 0.0
    for part in range(options.accumulate):
        last = part == options.accumulate - 1
        seed = (config.seed, state.step, part, fabric.global_rank)
        batch = training_batch(source, options.batch, seed).to(fabric.device)
        with fabric.no_backward_sync(state.model, enabled=not last):
            loss = batch_loss(config, source, state.model, batch, seed) / options.accumulate
            _check(loss, state.step)
            fabric.backward(loss)
        total += float(loss.detach())
    fabric.clip_gradients(state.model, state.optimizer, max_norm=options.clip)
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.schedule.step()
    return total


def _check(loss: torch.Tensor, step: int) -> None:
    """Before the way back: interpolation at positions that are no numbers crashes there."""
    if not bool(torch.isfinite(loss)):
        raise FloatingPointError(
            f"the loss of step {step + 1} is no number; the last checkpoint is whole: "
            "lower the learning rate or check the images"
        )


def batch_loss(
    config: TrainingConfig,
    source: PairSource,
    model: torch.nn.Module,
    batch: Batch,
    seed: tuple[int, ...],
) -> torch.Tensor:
    """Loss of one batch at settings drawn for ``seed``."""
    spec, options = config.model, config.optimisation
    labels = batch.fixed_labels
    tissues = 1 if labels is None else len(source.label_names)
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    generator = torch.Generator().manual_seed(number)
    values = draw_for(spec, options.batch, tissues, generator).to(batch.fixed)
    setting = condition(spec, values, labels)
    flow = predict(model, batch, setting)
    scale = flow.displacement.new_tensor(source.spacing).view(1, -1, *[1] * spec.ndim)
    found = objective(
        batch.fixed,
        warp_batch(batch.moving, flow.displacement),
        flow.displacement * scale,
        setting,
        Measure(spec, source.spacing, options.window),
    )
    loss = equally_loud(found.total, setting)
    if options.labels and labels is not None and batch.moving_labels is not None:
        loss = loss + options.labels * soft_dice_loss(
            labels, batch.moving_labels, flow.displacement, tissues
        )
    return loss


def _look(
    config: TrainingConfig,
    source: PairSource,
    state: TrainingState,
    journal: Journal | None,
    run: Path,
) -> None:
    """Validate, and keep the weights if they are the best; the first process writes it down."""
    model = state.network
    model.eval()
    settings = config.validation.settings
    scores = validate(model, source, settings, config.optimisation.window)
    state.keep(sum(score.worth for score in scores) / len(scores))
    if journal:
        journal.scores(state.step, scores)
        write_picture(run / f"step{state.step:06d}.png", model, source, settings)
