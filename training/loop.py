"""The training loop, on Lightning Fabric: the same code on a processor, one GPU or many nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import cast

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError, Paused
from ElasticHyperRegLib.field import warp_voxels

from .batches import Batch, Seed, prefetched, training_batch
from .checkpoint import save
from .conditioning import condition, draw_for, predict
from .config import TrainingConfig
from .data.pair import PairSource
from .journal import Journal
from .loss import (
    Measure,
    equally_loud,
    masks_of,
    objective,
    soft_dice_loss,
    squared_distance,
)
from .picture import write_picture
from .place import Place, SharedFault
from .state import TrainingState
from .stopping import stop_between_steps
from .validation import validate

LOG_EVERY = 10
Progress = Callable[[int, float], None]
"""Told the steps done and the last loss."""


@dataclass(frozen=True, eq=False)
class Sources:
    """What is trained on and what is looked at while training."""

    train: PairSource
    validation: PairSource

    @property
    def patients(self) -> tuple[str, ...]:
        """Of both, and which is which."""
        return (*self.train.patients, "", *self.validation.patients)


def fit(
    config: TrainingConfig,
    sources: Sources,
    state: TrainingState,
    place: Place,
    progress: Progress,
) -> None:
    """Train ``state`` until the steps are done.

    A step depends on the seed, its number and the rank alone, so a run that was killed goes on
    as if it had not been.

    Raises:
        InputError: the folder cannot be written, or the loss is no number any more.
        Paused: the user stopped it; a checkpoint stands.
    """
    steps, options = config.optimisation.steps, config.optimisation
    journal = Journal(place.folder, place.tensorboard)
    place.write(lambda: journal.go_on(state.step))
    make = partial(training_batch, sources.train, options.batch, augmentation=config.augmentation)
    seeds = _seeds(config, state.step, place.fabric.global_rank)
    batches = prefetched(make, seeds, place.workers)
    with stop_between_steps(alone=place.fabric.world_size == 1) as stopped:
        while state.step < steps:
            if stopped():
                place.write(lambda: save(place.folder, state.table()))
                done = f"stopped after step {state.step}"
                raise Paused(f"{done}; the same command goes on from there")
            parts = islice(batches, options.accumulate)
            loss = _step(config, sources.train, state, place, parts)
            state.step += 1
            if state.step % LOG_EVERY == 0:
                row = {"loss": loss, "learning_rate": float(state.schedule.get_last_lr()[0])}
                place.write(partial(journal.step, state.step, row))
            progress(state.step, loss)
            if state.step % config.validation.every == 0 or state.step == steps:
                _look(config, sources.validation, state, place, journal)


def _seeds(config: TrainingConfig, step: int, rank: int) -> Iterator[Seed]:
    """Of every batch from ``step`` on, in order."""
    for number in range(step, config.optimisation.steps):
        for part in range(config.optimisation.accumulate):
            yield config.seed, number, part, rank


def _step(
    config: TrainingConfig,
    source: PairSource,
    state: TrainingState,
    place: Place,
    batches: Iterable[tuple[Seed, Batch]],
) -> float:
    """One update of the weights; the mean loss of its batches in all processes."""
    options, fabric = config.optimisation, place.fabric
    state.model.train()
    total = 0.0
    for part, (seed, batch) in enumerate(batches, start=1):
        last = part == options.accumulate
        with fabric.no_backward_sync(state.model, enabled=not last):
            loss = batch_loss(config, source, state.model, batch.to(fabric.device), seed)
            total += _mean_of_all(loss, place, state.step) / options.accumulate
            fabric.backward(loss / options.accumulate)
    norm = fabric.clip_gradients(
        state.model, state.optimizer, max_norm=options.clip, error_if_nonfinite=False
    )
    _check_gradient(norm, state)
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.schedule.step()
    return total


def _mean_of_all(loss: torch.Tensor, place: Place, step: int) -> float:
    """Mean over the processes, which all stop if it is no number.

    Before the way back: interpolation at positions that are no numbers crashes there.
    """
    mean = float(cast(torch.Tensor, place.fabric.all_reduce(loss.detach(), reduce_op="mean")))
    if not np.isfinite(mean):
        raise _no_number("loss", step)
    return mean


def _check_gradient(norm: torch.Tensor | None, state: TrainingState) -> None:
    """Stop where a gradient is no number, in all processes alike.

    In 16-bit training it may be none for a step: its scaler then leaves that step out and halves
    the scale. A scale below 1 is no matter of range any more.
    """
    scaler = getattr(state.precision, "scaler", None)
    bears = scaler is not None and scaler.get_scale() >= 1
    if not bears and norm is not None and not torch.isfinite(norm):
        raise _no_number("gradient", state.step)


def _no_number(what: str, step: int) -> SharedFault:
    return SharedFault(
        f"a {what} that is no number in step {step + 1}",
        "images and a learning rate that training can bear",
        "lower the learning rate in a new run, or check the images; the last checkpoint is whole",
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
    about, levels = Measure(spec, source.spacing, options.window), _levels(config, seed[1])
    if levels:
        about = about.level(options.windows, levels)
    labels = batch.fixed_labels
    if labels is None and spec.tissues:
        raise no_fixed_labels(config)
    tissues = 1 if labels is None else len(source.label_names)
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    generator = torch.Generator().manual_seed(number)
    values = draw_for(spec, options.batch, tissues, generator, options.draws).to(batch.fixed)
    setting = condition(spec, values, labels)
    flow = predict(model, batch, setting, levels)
    scale = flow.displacement.new_tensor(source.spacing).view(1, -1, *[1] * spec.ndim)
    u_mm = flow.displacement * scale
    warped = warp_voxels(batch.moving, flow.displacement)
    masks = masks_of(batch, flow.displacement)
    found = objective(batch.fixed, warped, u_mm, setting, about, masks)
    loss = equally_loud(found.total, setting)
    if options.labels:
        both = known_labels(batch)
        loss = loss + options.labels * soft_dice_loss(*both, flow.displacement)
    if truth := _truth_weight(config, seed[1]):
        loss = loss + truth * squared_distance(u_mm, known_displacement(batch) * scale)
    return loss


def no_fixed_labels(config: TrainingConfig) -> InputError:
    """What to say where a model of tissues is not told where they are."""
    return InputError(
        f"{config.name}, a model of tissues, and pairs whose fixed images have no labels",
        "labels of the fixed images, which say where the tissues are",
        "add them, or train a model without tissues",
    )


def _levels(config: TrainingConfig, step: int) -> int | None:
    """How many levels of a pyramid a step trains; ``None`` for all of any network at once."""
    levels = len(config.optimisation.windows)
    return 1 + step * levels // config.optimisation.steps if levels else None


def _truth_weight(config: TrainingConfig, step: int) -> float:
    """``truth`` at the first step, 0 from half of the steps on."""
    return config.optimisation.truth * max(0.0, 1 - 2 * step / config.optimisation.steps)


def known_labels(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Those of both images, or a refusal: the loss is to weigh them."""
    if batch.fixed_labels is None or batch.moving_labels is None:
        raise InputError(
            "a weight of the labels for pairs without labels", "labelled pairs", "set labels to 0"
        )
    return batch.fixed_labels, batch.moving_labels


def known_displacement(batch: Batch) -> torch.Tensor:
    """The truth, or a refusal: the loss is to weigh it."""
    if batch.displacement is None:
        raise InputError(
            "a truth weight for pairs whose displacement is not known",
            "synthetic pairs",
            "set truth to 0",
        )
    return batch.displacement


def _look(
    config: TrainingConfig,
    source: PairSource,
    state: TrainingState,
    place: Place,
    journal: Journal,
) -> None:
    """Validate, keep the weights if they are the best, and write down where the run stands."""
    model = state.network
    model.eval()
    settings = config.validation.settings
    scores = validate(model, source, settings, config.optimisation.window)
    worth = sum(score.worth for score in scores) / len(scores)
    state.keep(worth if config.validation.keep == "best" else state.step)

    def write_down() -> None:
        journal.scores(state.step, scores)
        write_picture(place.folder / f"step{state.step:06d}.png", model, source, settings)
        save(place.folder, state.table())

    place.write(write_down)
