"""What a model's card says: what it is, what it expects, where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..networks import ModelSpec, read_record, spec_from_table, spec_to_table

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"

Supervision = Literal["images", "images and labels"]


@dataclass(frozen=True)
class Expects:
    """The images that a model was trained on.

    Args:
        modality: such as CT or MR.
        spacing_mm: of the network's grid along i, j, k.
        size: voxels of the network's grid along i, j, k.
        intensity_window: lowest and highest intensity, mapped to 0 and 1; ``None`` takes each
            image's own.
        plane: of a model of slices: ``axial``, ``coronal`` or ``sagittal``; ``None`` takes any.
    """

    modality: str
    spacing_mm: tuple[float, ...]
    size: tuple[int, ...]
    intensity_window: tuple[float, float] | None = None
    plane: Literal["axial", "coronal", "sagittal"] | None = None

    def __post_init__(self) -> None:
        check_window(self.intensity_window)


def check_window(window: tuple[float, float] | None) -> None:
    """Refuse an intensity window that holds nothing.

    Raises:
        InputError: its highest intensity does not lie above its lowest.
    """
    if window is not None and not window[0] < window[1]:
        raise InputError(
            f"an intensity window of {list(window)}", "the lowest intensity, then a higher one"
        )


@dataclass(frozen=True)
class Ancestor:
    """The trained model that a training set out from.

    Args:
        model: its name.
        sha256: of its weights, hexadecimal.
    """

    model: str
    sha256: str


@dataclass(frozen=True)
class Training:
    """Where the weights come from.

    Args:
        data: what was trained on.
        licence: of that data.
        command: that trained the model.
        log: of that training, shortened.
        revision: of the code in git; several, in order, where the run was taken up by others.
        seed: of everything random.
        supervision: what the loss saw; labels count where those of the model it set out from do.
        start_from: the model that it set out from; ``None``: from weights drawn at random.
        versions: of the packages that matter, by name.
    """

    data: str
    licence: str
    command: str
    log: str
    revision: str
    seed: int
    supervision: Supervision = "images"
    start_from: Ancestor | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCard:
    """``card.json`` in the folder of a model.

    Args:
        model: architecture, options, conditioning, regulariser, tissues in order.
        expects: images it was trained on.
        training: where it comes from.
        licence: of the weights.
        metrics: split → metric → value.
        sha256: of ``model.safetensors``, hexadecimal.
        folder: where the card lies; its name is the model's. Not in the file.
    """

    model: ModelSpec
    expects: Expects
    training: Training
    licence: str
    metrics: dict[str, dict[str, float]]
    sha256: str
    folder: Path

    def __post_init__(self) -> None:
        ndim = self.model.ndim
        if len(self.expects.spacing_mm) != ndim or len(self.expects.size) != ndim:
            raise InputError(
                f"{self.path} expects {len(self.expects.size)} sizes and "
                f"{len(self.expects.spacing_mm)} spacings",
                f"{ndim} of each",
            )
        if not (min(self.expects.spacing_mm) > 0 and min(self.expects.size) > 0):
            raise InputError(f"{self.path} expects a spacing or a size of 0 or less", "positive")

    @property
    def name(self) -> str:
        """Name of the model: that of its folder."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The card's file."""
        return self.folder / CARD_FILE

    @property
    def weights(self) -> Path:
        """The weights' file."""
        return self.folder / WEIGHTS_FILE


@dataclass(frozen=True)
class About:
    """The part of a card that a person writes; fields as in ``ModelCard``."""

    expects: Expects
    training: Training
    licence: str
    metrics: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Sealed(About):
    format: Literal[1]
    sha256: str


def make_card(model: ModelSpec, about: Mapping[str, Any], sha256: str, folder: Path) -> ModelCard:
    """Card of a model about to be written to ``folder``.

    Raises:
        InputError: ``about`` is not a table of the fields of ``About``.
    """
    read = read_record(About, about, f"the card of {folder.name}")
    return ModelCard(model, read.expects, read.training, read.licence, read.metrics, sha256, folder)


def card_text(card: ModelCard) -> str:
    """Content of the file."""
    table = asdict(card)
    del table["folder"]
    table = {"format": 1, **table, "model": spec_to_table(card.model)}
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def read_card(folder: Path) -> ModelCard:
    """Card of the model in ``folder``.

    Raises:
        InputError: no card, no JSON, an unknown architecture, a missing, unknown or wrong entry;
            the message names the file.
    """
    path = folder / CARD_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "a model's card") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error})", "a model's card") from error
    if not isinstance(table, dict):
        raise InputError(f"{path} holds no table", "a model's card")
    model = spec_from_table(table.pop("model", None), f"{path}, model")
    read = read_record(_Sealed, table, str(path))
    return ModelCard(
        model, read.expects, read.training, read.licence, read.metrics, read.sha256, folder
    )
