"""Progress on standard error: a bar on a terminal, silence otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..engine import Progress

WORDS = {
    "load": "reading",
    "prepare": "preparing",
    "initial": "aligning the frames",
    "network": "asking the network",
    "refine": "deforming",
    "measure": "measuring",
    "write": "writing",
}


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar named ``title``, moved by what it is given: a step and the fraction done of all."""
    if not sys.stderr.isatty():
        yield lambda step, fraction: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)

        def show(step: str, fraction: float) -> None:
            bar.update(task, completed=fraction, description=f"{title}: {WORDS.get(step, step)}")

        yield show
