"""What a person reads when a registration is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..similarity import MIND

Metrics = Mapping[str, Any]
MOST_TISSUES = 12
RESEARCH_USE = "Research use only. Not for diagnosis."


def show_registration(metrics: Metrics, out: Path) -> None:
    """Print the metrics of a registration and where its files are."""
    console = Console()
    console.print(before_after(metrics))
    for line in facts(metrics):
        console.print(Text(line))
    show_place(console, out)


def show_place(console: Console, out: Path) -> None:
    """Print where to look."""
    console.print(Text(f"Look at {out / 'preview.png'} first. {RESEARCH_USE}"), soft_wrap=True)


def before_after(metrics: Metrics) -> Table:
    """The measures that exist before and after."""
    table = Table("", "before", "after", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for key, name, digits in (
        ("ncc", "likeness (NCC)", 3),
        ("mean_dice", "mean Dice", 3),
        ("tre_mm", "landmark error (mm)", 2),
    ):
        if key in metrics:
            table.add_row(name, *_cells(metrics[key], digits))
    for key, name, digits in (("dice", "Dice", 3), ("hd95_mm", "HD95 (mm)", 1)):
        tissues = list(metrics.get(key, {}).items())
        for tissue, values in tissues[:MOST_TISSUES]:
            table.add_row(Text(f"{name}, {tissue}"), *_cells(values, digits))
        if len(tissues) > MOST_TISSUES:
            table.add_row(f"{name}, {len(tissues) - MOST_TISSUES} more in metrics.json")
    return table


def facts(metrics: Metrics) -> list[str]:
    """One line each on regularity, elasticity and cost."""
    jacobian, seconds = metrics["jacobian"], metrics["seconds"]
    lines = [
        f"folds {100 * metrics['folds_fraction']:.3g} %, volume change "
        f"{jacobian['p01']:.2f} to {jacobian['p99']:.2f} (98 % of the voxels)"
    ]
    if "inverse_consistency_mm" in metrics:
        consistency = metrics["inverse_consistency_mm"]
        lines.append(
            f"there and back {consistency['mean']:.3f} mm off on average, "
            f"{consistency['max']:.2f} mm at most"
        )
    values = (f"{name} {lam:g}, {mu:g}" for name, (lam, mu) in metrics["elasticity"].items())
    lines.append(f"λ, μ: {'; '.join(values)}")
    memory = metrics.get("peak_memory_mib")
    lines.append(
        f"model {metrics['model']}, {metrics['device']}, {seconds['total']:.1f} s"
        + (f", {memory:.0f} MiB" if memory else "")
    )
    if metrics["similarity"] == MIND:
        lines.append("compared across modalities, by MIND-SSC")
    if "device_note" in metrics:
        lines.append(metrics["device_note"])
    if "estimate" in metrics:
        told = metrics["estimate"]
        lines.append(f"λ, μ were estimated; that rests on {told['evidence']}")
        lines += [f"warning: {warning}" for warning in told["warnings"]]
    if "model_sha256" in metrics:
        lines.append(f"this model: {metrics['model_choice']}")
    return lines


def _cells(values: Mapping[str, float], digits: int) -> list[str]:
    return [f"{values[side]:.{digits}f}" if side in values else "" for side in ("before", "after")]
