"""What a run leaves to read: its settings, a line a step, scores and a picture a validation."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ElasticHyperRegLib import __version__
from ElasticHyperRegLib.errors import InputError

from .config import TrainingConfig
from .place import replacing
from .validation import Score

MATTERING = ("torch", "lightning-fabric", "numpy", "SimpleITK")
"""Packages whose versions stand in the record."""
STEPS, SCORES, RECORD, CONFIG = "steps.csv", "validation.csv", "run.json", "config.toml"
Start = dict[str, Any]
"""Step, revision, command, devices and versions, as ``run.json`` holds them."""


def revision() -> str:
    """Git revision of the code, marked where files differ from it; ``unknown`` outside of git."""
    try:
        # An installed copy may lie within a repository of something else.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def this_start(command: str, devices: int, step: int = 0) -> Start:
    """What a start of a run, or of a part of it, was done with.

    Args:
        command: that trains the same again, with no folders of this machine: it goes into the
            model's card.
        devices: how many processes.
        step: that it went on from.
    """
    return {
        "step": step,
        "revision": revision(),
        "command": command,
        "devices": devices,
        "versions": {
            "elastic-hyperreg": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in MATTERING},
        },
    }


def earlier_starts(run: Path, config: TrainingConfig) -> list[Start]:
    """All starts that ``run.json`` tells of, also of those that a kill undid.

    Raises:
        InputError: the folder holds a record of something else than this run.
    """
    held = [name for name in (RECORD, CONFIG) if (run / name).exists()]
    if not held:
        return []
    try:
        record = json.loads((run / RECORD).read_text(encoding="utf-8"))
        if record["name"] == config.name:
            return list(record.get("starts", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # what is no record of a run is not ours
    raise InputError(
        f"{run}, where {' and '.join(held)} are not of a run of {config.name}",
        "an empty folder, or that of this run",
        "name another folder with --out",
    )


def write_record(run: Path, config: TrainingConfig, starts: Sequence[Start]) -> None:
    """``run.json`` and ``config.toml``: all that is needed to repeat the run."""
    run.mkdir(parents=True, exist_ok=True)
    record = {"name": config.name, "seed": config.seed, "starts": list(starts)}
    for name, text in ((RECORD, json.dumps(record, indent=2) + "\n"), (CONFIG, config.text)):
        with replacing(run / name) as partial:
            partial.write_text(text, encoding="utf-8")


class Journal:
    """Two CSV files that grow with the run and, if wanted, the same for TensorBoard.

    Args:
        run: folder.
        tensorboard: whether TensorBoard's files are written too, to ``run/tensorboard``.
    """

    def __init__(self, run: Path, tensorboard: bool = False) -> None:
        self._run = run
        self._tensorboard = tensorboard
        self._board: Any = None

    def go_on(self, step: int) -> None:
        """Begin, or go on from the checkpoint of ``step``: what was written after it is dropped."""
        for name in (STEPS, SCORES):
            _truncate(self._run / name, step)
        if self._tensorboard:
            writer = tensorboard_writer()
            self._board = writer(self._run / "tensorboard", purge_step=step + 1)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """One line of ``steps.csv``."""
        _append(self._run / STEPS, {"step": step, **values})
        self._show(step, "", values)

    def scores(self, step: int, scores: Sequence[Score]) -> None:
        """One line a setting of ``validation.csv``."""
        for score in scores:
            row: dict[str, Any] = {"step": step, **asdict(score)}
            row["setting"] = " ".join(f"{value:g}" for value in score.setting)
            _append(self._run / SCORES, row)
            measures = {name: row[name] for name in ("objective", "dice", "folds", "tre_mm")}
            self._show(step, f" at {row['setting']}", measures)

    def _show(self, step: int, where: str, values: Mapping[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{name}{where}", value, step)
            self._board.flush()


def tensorboard_writer() -> Any:
    """The class that writes TensorBoard's files.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise InputError(
            "--tensorboard without the package tensorboard",
            action='run pip install "elastic-hyperreg[train]"',
        ) from error
    return SummaryWriter


def read_scores(run: Path) -> list[dict[str, str]]:
    """Rows of ``validation.csv``.

    Raises:
        InputError: it is not there.
    """
    if not (run / SCORES).exists():
        raise InputError(f"no {SCORES} in {run}", "that of the run, for the model's card")
    with (run / SCORES).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _append(path: Path, row: Mapping[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def _truncate(path: Path, step: int) -> None:
    """Leave the rows up to ``step``; a row that a kill cut short is none of them."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if None not in row.values() and int(row["step"]) <= step]
    if not rows:
        path.unlink()
        return
    with replacing(path) as partial:
        for row in rows:
            _append(partial, row)
