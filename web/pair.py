"""What is opened."""

from __future__ import annotations

from dataclasses import dataclass

from ElasticHyperRegLib.types import Image, LabelMap


@dataclass(frozen=True, eq=False)
class Pair:
    """Two scans, their tissues where known, and how to begin.

    Attributes:
        fixed: stays.
        moving: is deformed.
        fixed_labels: tissues of the fixed scan.
        moving_labels: tissues of the moving scan.
        initial: alignment before everything else.
        scheme: of tissues, names the labels.
        model: its name, ``none`` or ``auto``.
        similarity: ``auto``, ``ncc`` or ``mind``.
        title: for the page's bar.
    """

    fixed: Image
    moving: Image
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None
    initial: str = "affine"
    scheme: str | None = None
    model: str = "auto"
    similarity: str = "auto"
    title: str = ""
