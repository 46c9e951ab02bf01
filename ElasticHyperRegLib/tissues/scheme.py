"""Tissue schemes: which labels make which tissue, its colour and its preset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..names import matched
from ..types import Elasticity, LabelMap
from .classes import class_names

LARGEST_LABEL = 65535
MOST_NAMES = 8
_PLACE = re.compile(r"left|right|l|r|upper|lower|middle|lobe|[ctls]?\d+")
_BETWEEN = re.compile(r"[\s_,.-]+")
_NAMELESS = re.compile(r"(segment|label|class|region|structure|tissue|value|roi)?[\s_-]*\d*")


@dataclass(frozen=True)
class Tissue:
    """One tissue of a scheme.

    Attributes:
        name: by which λ and μ are given.
        label: its value in the label maps that the scheme makes.
        color: red, green, blue, 0 to 255.
        sources: label values and class names that it is made of; its own name always counts.
        preset: (λ, μ) to start from.
        preset_source: where the preset comes from.
        patterns: such as ``lung_*``, for class names that no tissue has as they are.
    """

    name: str
    label: int
    color: tuple[int, int, int]
    sources: tuple[int | str, ...]
    preset: Elasticity
    preset_source: str
    patterns: tuple[str, ...] = ()

    def may_be(self, name: str) -> bool:
        """Whether a class name fits one of the patterns by nothing but a side, lobe or number.

        ``lung_left``, ``Right Lung`` and ``lungs`` fit ``lung_*``, ``lung_nodule`` does not.
        """
        parts = _BETWEEN.split(str(matched(name)))
        words = [word for word in parts if word and not _PLACE.fullmatch(word)]
        stems = {str(matched(pattern)).removesuffix("_*") for pattern in self.patterns}
        return "_".join(words).removesuffix("s") in {stem.removesuffix("s") for stem in stems}


@dataclass(frozen=True)
class TissueScheme:
    """Tissues of one kind of scan; label 0 is always among them. Made by ``load_scheme``.

    Attributes:
        name: unique among the packaged schemes.
        title: for people.
        tissues: in the order of the file.
        rest: tissue of every label that no tissue names; ``None`` refuses such labels.
        task: TotalSegmentator task whose class names the scheme uses.
        slides: pairs of tissues that may slide along their border; ``rest`` as the second
            stands for all others.
    """

    name: str
    title: str
    tissues: tuple[Tissue, ...]
    rest: str | None = None
    task: str | None = None
    slides: tuple[tuple[str, str], ...] = ()

    def elasticity(self) -> dict[str, Elasticity]:
        """Tissue name → preset (λ, μ)."""
        return {tissue.name: tissue.preset for tissue in self.tissues}

    def class_subset(self) -> tuple[str, ...]:
        """Classes of the scheme's TotalSegmentator task that its tissues name, sorted."""
        known = set(class_names(self.task).values()) if self.task else set()
        return tuple(sorted(known & {str(s) for t in self.tissues for s in (t.name, *t.sources)}))

    def apply(self, labels: LabelMap) -> LabelMap:
        """Label map of tissues: every voxel of ``labels`` goes to exactly one.

        Args:
            labels: as a program or a person made it.

        Raises:
            InputError: as ``assignment``.
        """
        assigned = self.assignment(labels)
        table = np.zeros(max(assigned) + 1, dtype=np.int32)
        for label, tissue in assigned.items():
            table[label] = tissue.label
        data = torch.from_numpy(table[labels.data.detach().cpu().numpy()])
        names = {tissue.label: tissue.name for tissue in self.tissues}
        return LabelMap(data, labels.grid, names, labels.name)

    def named(self, labels: LabelMap) -> LabelMap:
        """``labels`` with the names of their tissues; the values stay what they are.

        Raises:
            InputError: as ``assignment``.
        """
        names = {label: tissue.name for label, tissue in self.assignment(labels).items()}
        return LabelMap(labels.data, labels.grid, names, labels.name)

    def assignment(self, labels: LabelMap) -> dict[int, Tissue]:
        """Tissue of every label that occurs in ``labels``: by its name, or its number without one.

        Names that no tissue has go by its patterns, so that ``lung_left`` is lung where the
        classes of the scheme's task are lobes.

        A name such as ``Segment_3`` says nothing and counts as none.

        Args:
            labels: as a program or a person made it. Where it names nothing, its numbers are the
                classes of the scheme's TotalSegmentator task.

        Raises:
            InputError: a label belongs to no tissue and the scheme has no rest; labels are
                negative or larger than ``LARGEST_LABEL``.
        """
        classes = labels.names or (class_names(self.task) if self.task else {})
        owners = self._owners()
        owners[0] = next(tissue for tissue in self.tissues if tissue.label == 0)
        rest = owners.get(matched(self.rest)) if self.rest else None
        found: dict[int, Tissue] = {}
        lost: list[str] = []
        for label in _present(labels):
            name = classes.get(label, "")
            by_name = self._by_name(owners, name) if label else None
            # The number of a tissue of another name is another program's, and means nothing here.
            by_number = None if label and tells(name) else owners.get(label)
            owner = by_name or by_number or rest
            if owner:
                found[label] = owner
            else:
                lost.append(f"{label} ({name})" if name else str(label))
        if lost:
            raise InputError(
                f"{labels.name}: label {', '.join(lost[:5])}{', …' if len(lost) > 5 else ''} "
                f"belongs to no tissue of the scheme {self.name}",
                "labels that the scheme names",
                "use another scheme or add the label to a file of your own",
            )
        return found

    def left_over(self, labels: LabelMap) -> str:
        """Which labels the rest takes though nothing says so, in one line; empty for none.

        Nor does anything say that numbers without any name are classes of the scheme, which is told
        instead.

        Raises:
            InputError: as ``assignment``.
        """
        owners, assigned = self._owners(), self.assignment(labels)
        if self.task and not labels.names and any(assigned):
            return f"labels without names, taken for classes of TotalSegmentator's task {self.task}"
        own = {tissue.label: tissue for tissue in self.tissues}  # as in maps that it makes
        if not labels.names and any(own.get(n, t) is not t for n, t in assigned.items()):
            numbers = f"numbers of classes in the scheme {self.name}, not of its tissues"
            return f"labels without names, taken for {numbers}"
        names = []
        for label in (n for n, tissue in assigned.items() if n and tissue.name == self.rest):
            name = labels.names.get(label, "")
            meant = self._by_name(owners, name) if tells(name) else owners.get(label)
            if meant is None:
                names.append(name or f"label {label}")
        if not names:
            return ""
        listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
        return f"{listed}: no tissue of the scheme {self.name}, taken for {self.rest}"

    def _by_name(self, owners: Mapping[int | str, Tissue], name: str) -> Tissue | None:
        fitting = (tissue for tissue in self.tissues if name and tissue.may_be(name))
        return owners.get(matched(name)) or next(fitting, None)

    def _owners(self) -> dict[int | str, Tissue]:
        """Label value or class name, as ``matched`` writes it, → tissue."""
        return {
            matched(source): tissue
            for tissue in self.tissues
            for source in (tissue.name, *tissue.sources)
        }


def tells(name: str) -> bool:
    """Whether a label's name is more than a word for a label and a number."""
    return not _NAMELESS.fullmatch(name.strip().lower())


def _present(labels: LabelMap) -> list[int]:
    values = labels.data.detach().cpu().numpy()
    if values.min() < 0 or values.max() > LARGEST_LABEL:
        raise InputError(
            f"{labels.name}: labels from {values.min()} to {values.max()}",
            f"labels from 0 to {LARGEST_LABEL}",
            "renumber them",
        )
    return [int(label) for label in np.flatnonzero(np.bincount(values.ravel()))]
