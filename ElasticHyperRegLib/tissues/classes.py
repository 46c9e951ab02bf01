"""Class numbers and names of TotalSegmentator's tasks."""

from __future__ import annotations

from functools import cache

from ..errors import InputError
from .files import read_toml, suggestion, tissue_folder

_PREFIX = "totalsegmentator_"


def tasks() -> tuple[str, ...]:
    """TotalSegmentator tasks whose classes are known."""
    return tuple(
        sorted(path.stem.removeprefix(_PREFIX) for path in tissue_folder().glob(f"{_PREFIX}*.toml"))
    )


@cache
def class_names(task: str) -> dict[int, str]:
    """Class number → class name of a TotalSegmentator task, such as ``total``.

    Raises:
        InputError: the classes of ``task`` are not known.
    """
    if task not in tasks():
        raise InputError(
            f"TotalSegmentator task '{task}'",
            f"one of {', '.join(tasks())}",
            suggestion(task, tasks()),
        )
    _, values = read_toml(tissue_folder() / f"{_PREFIX}{task}.toml")
    return {int(number): name for number, name in values["classes"].items()}
