"""One training run from its configuration file to the exported model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ElasticHyperRegLib.cli.faults import INPUT_FAULT
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.weights import ModelCard, find_model

from .augmentation import check_swap
from .batches import collate
from .checkpoint import FILE, origin
from .config import TrainingConfig, read_config
from .data import open_source, refuse_shared_patients
from .data.pair import PairSource, lattice_text, same_spacing
from .export import export
from .hardware import Hardware
from .journal import earlier_starts, tensorboard_writer, this_start, write_record
from .loop import Progress, Sources, fit, known_displacement, known_labels, no_fixed_labels
from .place import Place, SharedFault, held, launched, peer_ended
from .state import begin


def train(
    config_path: Path,
    data: Path | None,
    run: Path,
    hardware: Hardware,
    progress: Progress,
    tensorboard: bool = False,
) -> ModelCard | None:
    """Train, or go on where a killed run of the same configuration stopped.

    The first process returns the model's card, others nothing.

    Args:
        config_path: TOML file, see ``training.config``.
        data: folder of the data set; ``None`` for a synthetic source.
        run: folder of the run: record, checkpoint, logs, pictures, model.
        progress: called by each process.
        tensorboard: whether TensorBoard's files are written beside the CSV files.

    Raises:
        InputError: a fault of the configuration, the data or the run's folder; nothing is
            written before all of them are read.
    """
    config = read_config(config_path)
    if tensorboard:
        tensorboard_writer()
    if config.optimisation.start_from and not (run / FILE).exists():
        find_model(config.optimisation.start_from)  # which takes no time, as the data do
    sources = open_sources(config, data)
    words = command(config_path, data, hardware)
    with launched(hardware.fabric(config)) as fabric:
        place = Place(fabric, run, hardware.workers, tensorboard)
        try:
            return _run(config, sources, place, words, progress)
        except InputError as error:
            error.__traceback__ = None  # it holds the model, see ``launched``
            if fabric.is_global_zero:
                raise error  # a bare ``raise`` could bring the traceback back
            if not isinstance(error, SharedFault):
                sys.stderr.write(f"process {fabric.global_rank}: {error}\n")
            raise SystemExit(INPUT_FAULT) from None
        except RuntimeError as error:
            if not peer_ended(error):
                raise
            error.__traceback__ = None
            raise InputError(
                "another process of this run has ended", action="see what it says of itself"
            ) from None


def _run(
    config: TrainingConfig, sources: Sources, place: Place, words: str, progress: Progress
) -> ModelCard | None:
    """``train`` with everything opened; ``words`` is the command."""
    fabric, run = place.fabric, place.folder
    state = begin(config, fabric, run, origin(config, sources.patients, fabric.world_size))
    starts = earlier_starts(run, config)
    with held(place):
        if state.step < config.optimisation.steps or not state.starts:
            state.starts.append(this_start(words, fabric.world_size, state.step))
            place.write(lambda: write_record(run, config, [*starts, state.starts[-1]]))
        fit(config, sources, state, place, progress)
        return export(config, sources.train, state, run) if fabric.is_global_zero else None


def command(config_path: Path, data: Path | None, hardware: Hardware) -> str:
    """The command line of a run, with file names in place of paths."""
    words = ["elastic-hyperreg", "train", config_path.name]
    words += [] if data is None else ["--data", data.name]
    words += ["--out", "RUN", "--accelerator", hardware.accelerator]
    return " ".join([*words, "--devices", str(hardware.devices), "--nodes", str(hardware.nodes)])


def open_sources(config: TrainingConfig, data: Path | None) -> Sources:
    """Both splits, with nobody in both, of one spacing and with the same tissues.

    Raises:
        InputError: somebody stands in both, they differ in kind, or the model and the images do
            not go together.
    """
    about, window = config.data, config.card.intensity_window
    train_source = open_source(about.source, data, about.train, about.options, window)
    validation = open_source(about.source, data, about.validation, about.validation_options, window)
    refuse_shared_patients(
        {about.train: train_source.patients, about.validation: validation.patients}
    )
    _check_alike(train_source, validation)
    _check_model(config, train_source)
    return Sources(train_source, validation)


def _check_alike(train: PairSource, validation: PairSource) -> None:
    """Weights are chosen on validation: it must be measured in the same mm and tissues."""
    if not same_spacing(train, validation):
        raise InputError(
            f"training on {lattice_text(train)} and validation on {lattice_text(validation)}",
            "one spacing for both",
            "give both the same spacing in the configuration's options",
        )
    here, there = train.label_names, validation.label_names
    for value in here.keys() & there.keys():
        nameless = f"label_{value}" in (here[value], there[value])
        if here[value] != there[value] and not nameless:
            raise InputError(
                f"the label {value}, {here[value]} in training and {there[value]} in validation",
                "the same tissues in both",
            )


def _check_model(config: TrainingConfig, source: PairSource) -> None:
    spec, names = config.model, tuple(source.label_names.values())
    if spec.ndim != len(source.shape):
        raise InputError(
            f"{config.name}, a model in {spec.ndim}D, with images in {len(source.shape)}D",
            "both alike",
        )
    if spec.tissues and spec.tissues != names:
        raise InputError(
            f"{config.name} with the tissues {', '.join(spec.tissues)}",
            f"those of {config.data.source}, in order: {', '.join(names) or 'none'}",
        )
    _check_pair(config, source)


def _check_pair(config: TrainingConfig, source: PairSource) -> None:
    """Whether pairs have what model, loss and variation need: known before anything is written."""
    weights, swap = config.optimisation, config.augmentation.swap
    if not (config.model.tissues or weights.labels or weights.truth or swap):
        return
    for part in getattr(source, "parts", (source,)):
        batch = collate([part.sample(0, np.random.default_rng(0))])
        if config.model.tissues and batch.fixed_labels is None:
            raise no_fixed_labels(config)
        if weights.labels:
            known_labels(batch)
        if weights.truth:
            known_displacement(batch)
        if swap:
            check_swap(batch)
