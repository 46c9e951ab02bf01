"""One pair of files through the engine into one folder of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import typer

from ..engine import (
    Progress,
    RegistrationOptions,
    RegistrationRequest,
    RegistrationResult,
    register,
)
from ..engine.report import forget_peak_memory
from ..errors import InputError
from ..estimation import Estimate
from ..io import (
    RESULT_FILES,
    OutputFolder,
    read_image,
    read_points,
    write_result,
)
from ..io.outputs import keep_inputs
from ..metrics import check_common_tissue
from ..names import spelled_in
from ..tissues import load_scheme
from ..types import Image, LabelMap
from .faults import NAME
from .labels import (
    present_tissues,
    read_any_labels,
    read_named_labels,
    scheme_borders,
    tell_absent,
    tell_nameless,
)
from .progress import progress_bar
from .record import checksums, request_record
from .settings import SCHEME, Settings, scored_with

Read = TypeVar("Read")

ESTIMATE_FILE = "estimate.json"


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair; volumes are files or DICOM folders."""

    fixed: Path
    moving: Path
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_points: Path | None = None
    moving_points: Path | None = None

    def given(self) -> dict[str, Path]:
        """Those that were given, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in found.items() if path is not None}


@dataclass(frozen=True)
class Job:
    """One pair, how to register it, and where the results go.

    With ``estimate`` λ and μ are found for the pair first; those of ``settings`` are where the
    search starts, and ``estimate.json`` tells how it went.
    """

    files: PairFiles
    settings: Settings
    out: Path
    overwrite: bool = False
    estimate: bool = False

    def asked(self) -> dict[str, Any]:
        """What was asked for and does not follow from the options of the run, for JSON."""
        return {**self.settings.asked(), "estimate": self.estimate}


def register_files(job: Job, title: str = "register") -> dict[str, Any]:
    """Register the pair; the results appear in ``job.out`` all at once.

    Returns:
        The content of ``metrics.json``.

    Raises:
        InputError: a file or an option is at fault; nothing is written.
    """
    inputs = job.files.given() | job.settings.files()
    results = [job.out / name for name in (*RESULT_FILES, ESTIMATE_FILE)]
    keep_inputs([*inputs.values(), job.settings.elasticity_file], results)
    forget_peak_memory()
    settings, asked = job.settings, job.asked()
    scored = scored_with(settings.elasticity_file)
    options = settings.options()
    outputs = OutputFolder(job.out, (ESTIMATE_FILE, *RESULT_FILES), job.overwrite)
    with outputs as folder, progress_bar(title) as progress:
        progress("load", 0.0)
        start = perf_counter()
        request = read_request(job.files, options, settings)
        sums = checksums(inputs)
        spent, told = {"load": perf_counter() - start}, {}
        if job.estimate:
            request, found = _estimated(request, folder / ESTIMATE_FILE, progress)
            spent["estimate"] = found.seconds
            told["estimate"] = _basis(found)
        result = with_earlier(register(request, progress), spent, told)
        if scored is not None:
            _tell_other_model(scored, result.metrics["model"])
        progress("write", 1.0)
        record = request_record(inputs, sums, request.options, settings.tissues, job.out)
        return write_result(result, folder, {**record, "asked": asked})


def read_request(
    files: PairFiles, options: RegistrationOptions, settings: Settings
) -> RegistrationRequest:
    """Read the files of a pair; tissues are named, and given their presets, by the scheme.

    Raises:
        InputError: a file cannot be read, or what they hold does not fit together.
    """
    scheme = None if settings.tissues is None else load_scheme(settings.tissues)
    if scheme and not (files.fixed_labels or files.moving_labels):
        raise InputError("a tissue scheme without labels", "--fixed-labels or --moving-labels")

    fixed, moving = read_image(files.fixed), read_image(files.moving)

    def labels_of(path: Path | None, image: Image) -> LabelMap | None:
        return _optional(path, lambda file: read_named_labels(file, scheme, image.grid))

    def mask_of(path: Path | None, image: Image) -> LabelMap | None:
        return _optional(path, lambda file: read_any_labels(file, image.grid))

    fixed_labels = labels_of(files.fixed_labels, fixed)
    if fixed_labels:
        options = _spelled(options, fixed_labels)
    if scheme and fixed_labels:
        presets = {} if settings.gives_everywhere else scheme.elasticity()
        values = {**presets, **options.tissues}
        options = replace(options, tissues=present_tissues(values, scheme, fixed_labels))
        typed = (spelled_in(fixed_labels, name) for name in settings.typed_tissues())
        tell_absent(typed, options.tissues)
    if SCHEME in settings.sliding:
        options = replace(options, sliding=options.sliding + scheme_borders(scheme, fixed_labels))
    moving_labels = labels_of(files.moving_labels, moving)
    if fixed_labels and moving_labels:
        check_common_tissue(fixed_labels, moving_labels)
        tell_nameless(fixed_labels, moving_labels)
    return RegistrationRequest(
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_mask=mask_of(files.fixed_mask, fixed),
        moving_mask=mask_of(files.moving_mask, moving),
        fixed_points=_optional(files.fixed_points, lambda path: read_points(path, fixed.grid)),
        moving_points=_optional(files.moving_points, lambda path: read_points(path, moving.grid)),
        options=options,
    )


def _tell_other_model(scored: str, model: str) -> None:
    """Say where the model of an estimate is not the one that has registered with its λ and μ."""
    if scored != model.partition(" ")[0]:
        line = f"λ and μ were found with {scored} and are used with {model}"
        typer.echo(f"{NAME}: {line}; name it with --model to use the same.", err=True)


def _spelled(options: RegistrationOptions, labels: LabelMap) -> RegistrationOptions:
    """Options with the names of their tissues as the fixed labels write them."""
    tissues = {spelled_in(labels, name): value for name, value in options.tissues.items()}
    borders = (
        replace(b, one=spelled_in(labels, b.one), other=spelled_in(labels, b.other))
        for b in options.sliding
    )
    return replace(options, tissues=tissues, sliding=tuple(borders))


def _estimated(
    request: RegistrationRequest, file: Path, progress: Progress
) -> tuple[RegistrationRequest, Estimate]:
    """The request with (λ, μ) found for it; how they were found goes to ``file``."""
    from .estimation import estimate_request, with_estimate  # which reads requests from here

    found = estimate_request(request, progress=progress)
    found.write(file)
    return with_estimate(request, found), found


def _basis(found: Estimate) -> dict[str, Any]:
    """What λ and μ rest on, as ``metrics.json`` tells it."""
    return {
        "evidence": found.evidence,
        "warnings": list(found.warnings),
        "model": found.model,
    }


def with_earlier(
    result: RegistrationResult, spent: Mapping[str, float], told: Mapping[str, Any]
) -> RegistrationResult:
    """``result`` with the seconds of what came before it, in the total too, and what that told."""
    seconds: Mapping[str, float] = result.metrics["seconds"]
    total = seconds["total"] + sum(spent.values())
    counted = {**spent, **seconds, "total": total}
    return replace(result, metrics={**result.metrics, "seconds": counted, **told})


def _optional(path: Path | None, read: Callable[[Path], Read]) -> Read | None:
    return None if path is None else read(path)
