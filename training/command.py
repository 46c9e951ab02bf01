"""What the command ``train`` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ElasticHyperRegLib.cli.progress import progress_bar

from .config import read_config
from .run import Hardware, train

__all__ = ["Hardware", "train_command"]


def train_command(config: Path, data: Path | None, out: Path, hardware: Hardware) -> None:
    """Train with a progress bar and print where the model is.

    Raises:
        InputError: the configuration, the data or the folder of the run is at fault.
    """
    steps = read_config(config).optimisation.steps
    with progress_bar("train") as bar:
        card = train(
            config,
            data,
            out,
            hardware,
            lambda step, loss: bar(f"step {step} of {steps}, loss {loss:.4f}", step / steps),
        )
    console = Console()
    for split, metrics in card.metrics.items():
        for name, value in metrics.items():
            console.print(f"{split} {name}: {value:.4g}")
    console.print(f"Model: {card.folder}", soft_wrap=True)
