"""A cohort: every row of a manifest through the engine, resumable."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from ..errors import Cancelled, InputError
from ..io import atomic_path
from ..io.outputs import left_by_a_look, writing
from ..weights import is_model_name
from .faults import DONE, INPUT_FAULT, NAME, OUR_FAULT, our_fault, reachable
from .manifest import OPTIONAL_FILES, Row, read_manifest
from .pair import Job, PairFiles, register_files
from .resumed import difference, other_weights
from .settings import Settings

SUMMARY = "summary.csv"
MEASURES = {
    "mean_dice_before": ("mean_dice", "before"),
    "mean_dice_after": ("mean_dice", "after"),
    "tre_mm_before": ("tre_mm", "before"),
    "tre_mm_after": ("tre_mm", "after"),
    "ncc_before": ("ncc", "before"),
    "ncc_after": ("ncc", "after"),
    "folds_fraction": ("folds_fraction",),
    "inverse_consistency_mm": ("inverse_consistency_mm", "mean"),
    "seconds": ("seconds", "total"),
    "peak_memory_mib": ("peak_memory_mib",),
}
"""Column of the summary → where it stands in ``metrics.json``."""
COLUMNS = ("case", "status", "reason", *MEASURES)


@dataclass(frozen=True)
class Cohort:
    """What all cases share: ``base`` is where relative paths begin, ``out`` has a folder a case."""

    base: Path
    out: Path
    settings: Settings
    overwrite: bool
    estimate: bool


@dataclass(frozen=True)
class Outcome:
    """How a case ended: its exit code, why it failed, its metrics where it did not.

    ``before`` marks one that an earlier run has done.
    """

    name: str
    code: int
    reason: str
    metrics: Mapping[str, Any]
    before: bool = False

    @property
    def said(self) -> str:
        """For the terminal."""
        return self.reason or ("done before" if self.before else "done")


def run_cohort(
    manifest: Path, out: Path, settings: Settings, overwrite: bool, estimate: bool = False
) -> int:
    """Register every case of ``manifest`` into ``out/<case>``; ``out/summary.csv`` tells how.

    Returns:
        The exit code: 0 all done, 2 the input of some case is at fault, 1 a fault of ours.

    Raises:
        InputError: the manifest as a whole, an option or ``out`` is at fault; nothing is written.
    """
    settings.options()
    rows = read_manifest(manifest, SUMMARY)
    _check_folder(out, {row["case"] for row in rows}, overwrite)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    cohort = Cohort(manifest.parent, out, settings, overwrite, estimate)
    done: list[Outcome] = []
    earlier = _summarised(out)
    fault: Exception | None = None
    for number, row in enumerate(rows, start=1):
        done.append(_run_case(row, cohort))
        left = [earlier[case] for case in (row["case"] for row in rows[number:]) if case in earlier]
        fault = _try_summary(out, done, left, fault)
        typer.echo(f"[{len(done)}/{len(rows)}] {done[-1].name}: {done[-1].said}")
    if fault is not None:
        raise fault
    failed = [outcome for outcome in done if outcome.code != DONE]
    if failed:
        names = ", ".join(outcome.name for outcome in failed)
        line = f"{len(failed)} of {len(rows)} cases failed ({names}); see {out / SUMMARY}."
        typer.echo(f"{NAME}: {line}", err=True)
    codes = {outcome.code for outcome in done}
    return next((code for code in (OUR_FAULT, INPUT_FAULT) if code in codes), DONE)


def _check_folder(out: Path, names: set[str], overwrite: bool) -> None:
    """Only cases of this manifest, and its summary, may stand in ``out`` already."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", "a folder", "choose another one")
    entries = out.iterdir() if out.exists() else ()
    others = (e.name for e in entries if e.name not in {*names, SUMMARY})
    strangers = [name for name in others if name[0] != "." and not left_by_a_look(name)]
    if strangers and not overwrite:
        raise InputError(
            f"{out} holds {strangers[0]}, which is no case of this manifest",
            "an empty folder or an earlier run of the same cohort",
            "choose another folder or --overwrite",
        )


def _run_case(row: Row, cohort: Cohort) -> Outcome:
    name = row["case"]
    try:
        job = _job(row, cohort)
        earlier = None if cohort.overwrite else _finished(job)
        if earlier is not None:
            return Outcome(name, DONE, "", earlier, before=True)
        try:
            return Outcome(name, DONE, "", register_files(job, name))
        except InputError:
            # Another run of the cohort may have been quicker.
            earlier = None if cohort.overwrite else _finished(job)
            if earlier is None:
                raise
            return Outcome(name, DONE, "", earlier, before=True)
    except Cancelled:
        raise
    except Exception as caught:
        error = reachable(caught)
        if isinstance(error, InputError):
            stands = error.metrics if isinstance(error, _Stands) else {}
            return Outcome(name, INPUT_FAULT, str(error), stands)
        return Outcome(name, OUR_FAULT, our_fault(error), {})


def _job(row: Row, cohort: Cohort) -> Job:
    """What a row asks for; what it leaves open the cohort decides.

    Raises:
        InputError: the row names no fixed or no moving image.
    """
    missing = [name for name in ("fixed", "moving") if name not in row]
    if missing:
        raise InputError(f"a row without {' and '.join(missing)}", "the files of both images")
    names = ("fixed", "moving", *OPTIONAL_FILES)
    files = PairFiles(**{name: cohort.base / row[name] for name in names if name in row})
    model = row.get("model", cohort.settings.model)
    if "model" in row and not is_model_name(model):
        model = str(cohort.base / model)
    settings = replace(cohort.settings, model=model)
    given = row.get("elasticity", "")
    if given.endswith(".json"):
        settings = replace(settings, elasticity=(), elasticity_file=cohort.base / given)
    elif given:
        parts = tuple(part for part in given.split(";") if part.strip())
        settings = replace(settings, elasticity=parts, elasticity_file=None)
    return Job(files, settings, cohort.out / row["case"], cohort.overwrite, cohort.estimate)


class _Stands(InputError):
    """A result of another run stands there, whole and with its own ``metrics``."""

    def __init__(self, folder: Path, metrics: dict[str, Any], other: str) -> None:
        super().__init__(
            f"{folder}, made before with another {other}",
            "the same files and options as then",
            "add --overwrite, or choose another folder",
        )
        self.metrics = metrics


def _finished(job: Job) -> dict[str, Any] | None:
    """The metrics of a case that an earlier run finished: results appear all at once.

    Raises:
        InputError: it was made of other files, with other options or by something else.
    """
    try:
        metrics, record = (_kept(job.out / name) for name in ("metrics.json", "request.json"))
        if metrics is None:
            return None
        other = difference(job, {} if record is None else record) or other_weights(job, metrics)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{job.out}, whose metrics.json and request.json are not of this command",
            "an earlier run of the same cohort",
            "add --overwrite, or choose another folder",
        ) from error
    if other is not None:
        raise _Stands(job.out, metrics, other)
    return metrics


def _kept(file: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _summarised(out: Path) -> dict[str, list[str]]:
    """Rows of the summary that an earlier run has left, by case; none where it is another's."""
    try:
        with (out / SUMMARY).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return {}
    return {row[0]: row for row in rows if row} if tuple(header) == COLUMNS else {}


def _try_summary(
    out: Path, done: Sequence[Outcome], left: Sequence[Sequence[str]], before: Exception | None
) -> Exception | None:
    """What kept the summary from being written, told once: on Windows a table that shows it.

    The cases go on, and so does the summary after the next of them.
    """
    try:
        _write_summary(out, done, left)
    except (InputError, OSError) as error:
        if before is None:
            typer.echo(f"{NAME}: {reachable(error)} The cases go on.", err=True)
        return error
    return None


def _write_summary(out: Path, done: Sequence[Outcome], left: Sequence[Sequence[str]]) -> None:
    """How the cases ended, and ``left``: rows of an earlier run, of cases not reached yet."""
    with (
        atomic_path(out / SUMMARY, overwrite=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for outcome in done:
            status = "done" if outcome.code == DONE else "failed"
            values = (_value(outcome.metrics, keys) for keys in MEASURES.values())
            table.writerow((outcome.name, status, outcome.reason, *values))
        table.writerows(left)


def _value(metrics: Any, keys: Sequence[str]) -> Any:
    """A metric, or an empty cell where it does not apply."""
    for key in keys:
        metrics = metrics.get(key, {})
    return "" if metrics == {} else metrics
