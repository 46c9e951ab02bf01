"""The installed models as a person reads them."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..weights import ModelCard, list_models, user_folder
from .record import checksums

WIDE = 180
"""Columns where the output is no terminal."""
OBEYS = {
    "global": "one {hyper} for everywhere",
    "tissue": "{hyper} of {tissues}",
    "map": "{hyper} of any tissues",
}


def show_models() -> None:
    """Print a table of the installed models."""
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    cards = list_models()
    if cards:
        console.print(model_table(cards))
    else:
        console.print(Text("No trained model is installed; the solver does it all."))
    console.print(Text(f"Models of your own go into {user_folder()}."), soft_wrap=True)


def model_table(cards: list[ModelCard]) -> Table:
    """One row a model."""
    table = Table(
        "model", "expects", "obeys", "trained on", "size", "licence", "checksum", box=None
    )
    for card in cards:
        told = _expects(card), _obeys(card), card.training.supervision
        row = (card.name, *told, _size(card), card.licence, _checksum(card))
        table.add_row(*(Text(cell) for cell in row))
    return table


def _expects(card: ModelCard) -> str:
    expects = card.expects
    spacing = "×".join(f"{s:.3g}" for s in expects.spacing_mm)
    size = "×".join(str(n) for n in expects.size)
    return f"{expects.modality} {card.model.ndim}D, {spacing} mm, about {size}"


def _obeys(card: ModelCard) -> str:
    hyper = "λ, μ" if len(card.model.hyper) == 2 else "α = λ + μ"
    form = OBEYS[card.model.conditioning]
    return form.format(hyper=hyper, tissues=", ".join(card.model.tissues))


def _size(card: ModelCard) -> str:
    return f"{card.weights.stat().st_size / 1e6:.1f} MB" if card.weights.is_file() else ""


def _checksum(card: ModelCard) -> str:
    if not card.weights.is_file():
        return f"{card.weights.name} is missing"
    found = checksums({"weights": card.weights})["weights"]
    return "right" if found == card.sha256.lower() else "WRONG: download it again"
