"""A table as JSON records, as Markdown and on the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .score import Row

TABLE_FILES = ("table.json", "table.md")
MARK, TAUGHT_MARK = "†", "‡"
NOTE = f"{MARK} λ and μ were chosen by the labels that this table scores."
TAUGHT_NOTE = f"{TAUGHT_MARK} Labels in training; at run time it sees images alone."
COMPAT_NOTE = (
    "As published: folds of the velocity, which the published code counts, and HD95 over all "
    "voxels of a tissue, which the published figures fit (the other is over its surface). Its √TRE "
    "needs landmarks, which these data do not have. The published table: docs/METHOD.md."
)
COMPAT_ONLY = {"velocity_folds_fraction", "mask_hd95_mm"}


def as_records(rows: Sequence[Row], paper_compat: bool = False) -> list[dict[str, Any]]:
    """One record a row; what does not apply is absent."""
    hidden = set() if paper_compat else COMPAT_ONLY
    return [
        {key: value for key, value in asdict(row).items() if _applies(value) and key not in hidden}
        for row in rows
    ]


def _applies(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and np.isnan(value))


def header(rows: Sequence[Row], paper_compat: bool) -> list[str]:
    """Names of the columns."""
    published = ["HD95 of all voxels mm", "folds of the velocity %"] if paper_compat else []
    measures = ["mean Dice (SD)", "HD95 mm", "folds %", *published, "s a pair"]
    return ["model", *rows[0].class_dice, *measures, "λ and μ"]


def cells(row: Row, tissues: Sequence[str], paper_compat: bool) -> list[str]:
    """One line of the table."""
    velocity, masks = row.velocity_folds_fraction, row.mask_hd95_mm
    compat = [
        "" if masks is None or np.isnan(masks) else f"{masks:.3f}",
        "" if velocity is None else f"{100 * velocity:.3g}",
    ]
    return [
        f"{row.model} {TAUGHT_MARK}" if row.labels_in_training else row.model,
        *(f"{row.class_dice[t]:.3f}" if t in row.class_dice else "" for t in tissues),
        f"{row.mean_dice:.3f} ({row.mean_dice_sd:.3f})",
        "" if np.isnan(row.hd95_mm) else f"{row.hd95_mm:.3f}",
        f"{100 * row.folds_fraction:.3g}",
        *(compat if paper_compat else ()),
        f"{row.seconds_per_pair:.3g}",
        f"{row.parameters} {MARK}" if row.by_scored_labels else row.parameters,
    ]


def notes(rows: Sequence[Row], paper_compat: bool) -> list[str]:
    """What a reader has to know."""
    said = {
        NOTE: any(row.by_scored_labels for row in rows),
        TAUGHT_NOTE: any(row.labels_in_training for row in rows),
        COMPAT_NOTE: paper_compat,
    }
    return [note for note, applies in said.items() if applies]


def as_markdown(rows: Sequence[Row], title: str, paper_compat: bool = False) -> str:
    """The table in Markdown."""
    columns = header(rows, paper_compat)
    tissues = list(rows[0].class_dice)
    lines = [columns, ["---"] * len(columns)]
    lines += [cells(row, tissues, paper_compat) for row in rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    below = "".join(f"\n{note}\n" for note in notes(rows, paper_compat))
    return f"# {title}\n\n{body}\n{below}"


def as_table(rows: Sequence[Row], paper_compat: bool = False) -> Table:
    """The table on the terminal."""
    table = Table(*header(rows, paper_compat), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*cells(row, list(rows[0].class_dice), paper_compat))
    return table


def write_table(rows: Sequence[Row], title: str, folder: Path, paper_compat: bool) -> None:
    """``table.json`` and ``table.md`` in ``folder``."""
    records = json.dumps(
        as_records(rows, paper_compat), indent=2, ensure_ascii=False, allow_nan=False
    )
    (folder / TABLE_FILES[0]).write_text(records + "\n", encoding="utf-8")
    (folder / TABLE_FILES[1]).write_text(as_markdown(rows, title, paper_compat), encoding="utf-8")
