"""TotalSegmentator run as a program of its own on one image."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..engine import Progress
from ..errors import InputError
from ..io import read_image, write_image
from ..tissues import class_names
from ..types import Image, LabelMap
from .cache import answer_key, cached_answer, keep_answer
from .messages import NAME, explain, fell_back, remarks
from .options import SegmentOptions, StopAsked
from .process import run_program
from .program import Program, find_program
from .progress import ProgressReader

_CUDA = re.compile(r"cuda(?::(\d+))?")


@dataclass(frozen=True)
class Task:
    """What TotalSegmentator is to compute.

    Attributes:
        name: ``total`` (CT) or ``total_mr``.
        classes: the classes that are wanted; none for all.
    """

    name: str
    classes: tuple[str, ...] = ()


def run_total(
    image: Image,
    task: Task,
    options: SegmentOptions,
    progress: Progress | None = None,
    cancelled: StopAsked | None = None,
) -> tuple[LabelMap, tuple[str, ...], bool]:
    """TotalSegmentator's classes on the grid of ``image``.

    Args:
        image: 3D CT in HU, or MR for ``total_mr``.
        task: what to compute.
        options: mode, device, program, cache.
        progress: called with the step and the fraction done.
        cancelled: asked often; once true, the program and its workers are killed.

    Returns:
        Labels numbered and named as the task's classes, remarks, and whether they were kept from
        an earlier run.

    Raises:
        InputError: it is not installed or fails; the line says why and what to do.
        Cancelled: ``cancelled`` was true.
    """
    device = _device(options.device)
    program = find_program(options.program)
    words = [task.name, "fast" if options.fast else "full", program.signature, *task.classes]
    key = answer_key(image, words) if options.cache else ""
    kept = cached_answer(key) if key else None
    names = class_names(task.name)
    if kept is not None:
        return LabelMap(kept.data, image.grid, names, image.name), (), True
    with tempfile.TemporaryDirectory(prefix="elastic-hyperreg-") as folder:
        scan, found = Path(folder) / "image.nii.gz", Path(folder) / "labels.nii.gz"
        write_image(image, scan)
        command = _command(program, scan, found, task, options.fast)
        notes = _run([*command, "--device", device], options.device, progress, cancelled)
        labels = LabelMap(_read(found, image), image.grid, names, image.name)
    if key:
        try:
            keep_answer(key, labels)
        except (OSError, InputError) as error:
            notes = (*notes, f"the answer was not kept for the next time: {error}")
    return labels, notes, False


def _command(program: Program, scan: Path, out: Path, task: Task, fast: bool) -> list[str]:
    words = [*program.command, "-i", str(scan), "-o", str(out), "--ml", "--task", task.name]
    if fast:
        words.append("--fast")
    if task.classes and len(task.classes) < len(class_names(task.name)):
        words += ["--roi_subset", *task.classes]
    return words


def _run(
    command: Sequence[str],
    wanted: str,
    progress: Progress | None,
    cancelled: StopAsked | None,
) -> tuple[str, ...]:
    """Run it; what there is to remark. ``wanted`` is the device as the user named it."""
    reader = ProgressReader()

    def on_line(line: str) -> None:
        state = reader.read(line)
        if state and progress:
            progress(*state)

    try:
        status, lines = run_program(command, on_line, cancelled)
    except OSError as error:
        raise InputError(
            f"{command[0]} cannot be started ({error.strerror})",
            f"{NAME}'s executable",
            "check --program, or install it again",
        ) from error
    if status:
        raise explain(status, lines, _log(lines))
    if wanted.startswith("cuda") and fell_back(lines):
        raise InputError(
            f"the device '{wanted}' where {NAME} finds no such GPU",
            action="use the device cpu or auto, or install a CUDA build of PyTorch for it",
        )
    return remarks(lines)


def _read(path: Path, image: Image) -> torch.Tensor:
    """The labels it wrote, int32; where it found nothing, they are 0 everywhere."""
    if not path.is_file():
        raise InputError(f"{NAME} ended well but wrote no labels", action="run it by hand")
    try:
        found = read_image(path)
    except InputError as error:
        raise _nothing_found(image) from error
    if not found.grid.same_as(image.grid):
        raise InputError(
            f"{NAME} answered with {found.grid}", f"the grid of {image.name}, {image.grid}"
        )
    return found.data.to(torch.int32)


def _nothing_found(image: Image) -> InputError:
    return InputError(
        f"{image.name}: {NAME} found none of the classes",
        "an image that shows some of them",
        "check the image, or choose another tissue scheme",
    )


def _device(name: str) -> str:
    """Our name of a device → TotalSegmentator's."""
    match = _CUDA.fullmatch(name)
    if name not in ("auto", "cpu") and not match:
        raise InputError(f"the device '{name}'", "auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return "cpu"
    return f"gpu:{match[1]}" if match and match[1] else "gpu"


def _log(lines: Sequence[str]) -> str:
    """A file with all that was printed; it stays, for the message that names it."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="totalsegmentator-", suffix=".log", delete=False
    ) as log:
        log.write("\n".join(lines))
    return log.name
