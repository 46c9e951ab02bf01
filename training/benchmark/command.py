"""What the command ``benchmark`` does."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ElasticHyperRegLib.cli.progress import progress_bar
from ElasticHyperRegLib.cli.settings import parse_elasticity
from ElasticHyperRegLib.engine.elasticity import EVERYWHERE
from ElasticHyperRegLib.engine.request import DEFAULT_ELASTICITY
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.estimation import Setting
from ElasticHyperRegLib.io import OutputFolder

from .run import BenchmarkOptions, run_benchmark
from .table import TABLE_FILES, as_table, notes, write_table

WIDE = 200
"""Columns where the output is no terminal."""


@dataclass(frozen=True)
class Words:
    """The options of the command as they were typed."""

    name: str
    data: Path
    out: Path
    split: str
    models: str
    elasticity: tuple[str, ...]
    subject_wise: bool
    refine: int | None
    device: str

    def options(self) -> BenchmarkOptions:
        """What they ask for.

        Raises:
            InputError: a number is out of range or a name misspelt.
        """
        if self.refine is not None and self.refine < 0:
            raise InputError(f"{self.refine} iterations", "0 or more")
        given = parse_elasticity(self.elasticity)
        default = given.pop(EVERYWHERE, DEFAULT_ELASTICITY)
        return BenchmarkOptions(
            data=self.data,
            split=self.split,
            models=tuple(name.strip() for name in self.models.split(",") if name.strip()),
            setting=Setting(default, given) if self.elasticity else None,
            subject_wise=self.subject_wise,
            refine=self.refine,
            device=self.device,
        )


def benchmark(words: Words, paper_compat: bool, overwrite: bool) -> None:
    """Make the table, write it and print it.

    Raises:
        InputError: the data or an option is at fault; nothing is written.
    """
    options = words.options()
    with OutputFolder(words.out, TABLE_FILES, overwrite) as folder, progress_bar(words.name) as bar:
        rows = run_benchmark(words.name, options, bar)
        title = f"{words.name}, {words.split}: {rows[0].pairs} pairs"
        write_table(rows, title, folder, paper_compat)
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(as_table(rows, paper_compat))
    for note in (*notes(rows, paper_compat), f"Table: {words.out / TABLE_FILES[1]}"):
        console.print(Text(note), soft_wrap=True)
