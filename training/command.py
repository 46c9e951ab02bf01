"""What the command ``train`` does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from lightning_fabric.utilities import rank_zero_only
from rich.console import Console

from ElasticHyperRegLib.cli.progress import progress_bar
from ElasticHyperRegLib.engine import Progress

from .config import read_config
from .hardware import Hardware
from .run import train

__all__ = ["Hardware", "train_command"]


class Pace:
    """How fast a run goes, in words.

    Args:
        steps: of the whole run.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._begin = perf_counter()
        self.first: int | None = None
        """Number of the first step of this start; ``None`` before it is done."""

    def words(self, step: int, loss: float) -> str:
        """``step 40 of 500, loss 0.3127, 5.2 steps/s, 0:01:28 left``."""
        if self.first is None:
            self.first = step
        rate = (step - self.first + 1) / (perf_counter() - self._begin)
        left = timedelta(seconds=round((self._steps - step) / rate))
        return f"step {step} of {self._steps}, loss {loss:.4f}, {rate:.3g} steps/s, {left} left"


def train_command(
    config: Path, data: Path | None, out: Path, hardware: Hardware, tensorboard: bool
) -> None:
    """Train with a progress bar and print where the model is.

    Raises:
        InputError: the configuration, the data or the folder of the run is at fault.
    """
    steps = read_config(config).optimisation.steps
    pace = Pace(steps)
    with _bar() as bar:
        card = train(
            config,
            data,
            out,
            hardware,
            lambda step, loss: bar(pace.words(step, loss), step / steps),
            tensorboard,
        )
    if card is None:
        return
    console = Console()
    if pace.first is None:
        finished = f"{out} had finished all {steps} steps before: nothing was trained."
        console.print(finished, soft_wrap=True)
    elif pace.first > 1:
        console.print(f"Went on after step {pace.first - 1}.")
    for split, metrics in card.metrics.items():
        for name, value in metrics.items():
            console.print(f"{split} {name}: {value:.4g}")
    console.print(f"Model: {card.folder}", soft_wrap=True)


def _bar() -> AbstractContextManager[Progress]:
    """None in the processes that the first one starts."""
    if getattr(rank_zero_only, "rank", 0):
        return nullcontext(lambda step, fraction: None)
    return progress_bar("train")
