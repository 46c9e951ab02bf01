"""Sources of pairs by name, with options as a settings file holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.networks import read_record

from .acdc import AcdcOptions, AcdcSource
from .learn2reg import Learn2RegOptions, Learn2RegSource
from .mixture import MixtureSource
from .own import OwnOptions, OwnSource
from .pair import PairSource, Window
from .phantom import PhantomSource, PhantomSourceOptions
from .shapes import ShapesOptions, ShapesSource
from .simulated import SimulatedOptions, SimulatedSource
from .slices import SlicesOptions, SlicesSource

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One source of a mixture.

    Args:
        source: its name.
        root: its folder, relative to that of the mixture; "" for none.
        weight: how often it is drawn from in training, beside the others.
        options: its own.
    """

    source: str
    root: str = ""
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MixtureOptions:
    """What is mixed."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class _Kind:
    """How a source is made; ``make`` takes root, split, options and intensity window."""

    make: Callable[[Any, str, Any, Window], PairSource]
    options: type
    needs_root: bool = True


def _shapes(root: Path | None, split: str, options: ShapesOptions, window: Window) -> PairSource:
    """Their intensities are drawn between 0 and 1, so that any window is theirs."""
    if root is not None:
        raise InputError(f"{root} for the data set shapes", "no folder", "it is made from nothing")
    return ShapesSource(split, options)


def _mixture(base: Path | None, split: str, options: MixtureOptions, window: Window) -> PairSource:
    parts = [
        open_source(
            part.source,
            (base or Path()) / part.root if part.root else None,
            split,
            part.options,
            window,
        )
        for part in options.parts
    ]
    return MixtureSource(parts, [part.weight for part in options.parts], split)


def _slices(root: Path | None, split: str, options: SlicesOptions, window: Window) -> PairSource:
    volumes = open_source(options.source, root, split, options.options, window)
    drawn = options.slices == "random" and split == "train"
    return SlicesSource(volumes, options.plane, drawn, window is None)


_KINDS = {
    "acdc": _Kind(AcdcSource, AcdcOptions),
    "nlst": _Kind(partial(Learn2RegSource, "NLST"), Learn2RegOptions),
    "lungct": _Kind(partial(Learn2RegSource, "LungCT"), Learn2RegOptions),
    "oasis": _Kind(partial(Learn2RegSource, "OASIS"), Learn2RegOptions),
    "own": _Kind(OwnSource, OwnOptions),
    "phantom": _Kind(PhantomSource, PhantomSourceOptions, needs_root=False),
    "shapes": _Kind(_shapes, ShapesOptions, needs_root=False),
    "simulated": _Kind(SimulatedSource, SimulatedOptions),
    "mixture": _Kind(_mixture, MixtureOptions, needs_root=False),
    "slices": _Kind(_slices, SlicesOptions, needs_root=False),
}


def source_names() -> tuple[str, ...]:
    """Every name that ``open_source`` knows."""
    return tuple(_KINDS)


def open_source(
    name: str,
    root: Path | None,
    split: str,
    options: Options | None = None,
    window: Window = None,
) -> PairSource:
    """The pairs of one split of a data set.

    Args:
        name: one of ``source_names``.
        root: folder or table of the data set. ``phantom`` keeps finished phantoms there, if
            given; the roots of the parts of a ``mixture`` are relative to it; ``shapes`` has none.
        split: ``train``, ``val`` or ``test``.
        options: fields of the options of that source, see there.
        window: lowest and highest intensity, seen as 0 and 1: that of the model's card.

    Raises:
        InputError: an unknown name or option, one of the wrong type, no root where one is
            needed, a window that the data set cannot be seen in, or data at fault.
    """
    if name not in _KINDS:
        raise InputError(f"the data set '{name}'", f"one of {', '.join(source_names())}")
    kind = _KINDS[name]
    chosen = read_options(name, options or {})
    if kind.needs_root:
        if root is None:
            raise InputError(f"the data set {name} without a folder", "where it stands")
        if not root.exists():
            raise InputError(f"{root} does not exist", f"the data set {name}", "check the path")
    return kind.make(root, split, chosen, window)


def read_options(name: str, options: Options) -> Any:
    """The options of the source ``name`` as its own dataclass.

    Raises:
        InputError: one is unknown, of the wrong type or refused.
    """
    return read_record(_KINDS[name].options, options, f"the options of {name}")
