"""One's own data: a table, or folders, that say which file is what of whom.

A table is a CSV with the columns ``patient``, ``split`` and one for each kind of file; paths are
relative to it. Folders are ``<split>/<patient>/`` with files named after their kind, such as
``train/anna/fixed.nii.gz``; a kind may itself be a folder of DICOM slices.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import existing_file

from .pair import SPLITS, refuse_shared_patients


@dataclass(frozen=True)
class Layout:
    """Kinds of files: those that must be there and those that may."""

    needed: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.needed, *self.optional)


BESIDE = (".raw", ".zraw", ".img", ".json", ".txt", ".bval", ".bvec")
"""Suffixes of files that no volume is."""
SINGLE = Layout(("image",), ("labels",))
PAIRED = Layout(
    ("fixed", "moving"),
    tuple(
        f"{side}_{kind}" for kind in ("labels", "mask", "points") for side in ("fixed", "moving")
    ),
)


@dataclass(frozen=True)
class Case:
    """One row of the table, or one patient's folder: kind → file."""

    patient: str
    split: str
    files: dict[str, Path]
    where: str


def read_cases(root: Path, split: str, layout: Layout) -> list[Case]:
    """The cases of one split.

    Args:
        root: folder, or table (``.csv``).
        split: ``train``, ``val`` or ``test``.
        layout: kinds of files.

    Raises:
        InputError: no case in the split, a patient in two splits, a needed file that is not
            given, a kind that only some cases of the split have, an unknown column or split.
    """
    if split not in SPLITS:
        raise InputError(f"the split '{split}'", f"one of {', '.join(SPLITS)}")
    cases = _of_folders(root, layout) if root.is_dir() else _of_table(root, layout)
    refuse_shared_patients(
        {
            f"the split '{name}' of {root}": tuple(c.patient for c in cases if c.split == name)
            for name in SPLITS
        }
    )
    chosen = [case for case in cases if case.split == split]
    if not chosen:
        raise InputError(f"{root}: nobody in the split '{split}'", "one case or more")
    for case in chosen:
        _check_kinds(case, layout, chosen[0])
    return chosen


def _check_kinds(case: Case, layout: Layout, first: Case) -> None:
    for kind in layout.needed:
        if kind not in case.files:
            raise InputError(f"{case.where}: no {kind}", f"a file for each of {layout.needed}")
    odd = sorted(case.files.keys() ^ first.files.keys())
    if odd:
        has, lacks = (case, first) if odd[0] in case.files else (first, case)
        raise InputError(
            f"{lacks.where}: no {odd[0]}, unlike {has.where}",
            "the same kinds of files for every case of a split",
        )


def _of_folders(root: Path, layout: Layout) -> list[Case]:
    cases = []
    for split in SPLITS:
        home = root / split
        for folder in sorted(home.iterdir()) if home.is_dir() else []:
            if folder.is_dir():
                files = {kind: _named(folder, kind) for kind in layout.kinds}
                found = {kind: path for kind, path in files.items() if path is not None}
                cases.append(Case(folder.name, split, found, str(folder)))
    return cases


def _named(folder: Path, kind: str) -> Path | None:
    """The one file or folder in ``folder`` whose name without its suffixes is ``kind``.

    The voxels of a header beside it, and what converters write about it, are not counted.
    """
    named = sorted(path for path in folder.iterdir() if path.name.split(".")[0] == kind)
    points = kind.endswith("_points")
    found = [path for path in named if points or path.suffix.lower() not in BESIDE]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise InputError(f"{folder}: {names}", f"one file named {kind}")
    return found[0] if found else None


def _of_table(path: Path, layout: Layout) -> list[Case]:
    columns = ("patient", "split", *layout.kinds)
    try:
        with existing_file(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            header = reader.fieldnames or []
            wrong = [name for name in header if name not in columns]
            wrong += [name for name in ("patient", "split", *layout.needed) if name not in header]
            if wrong:
                raise InputError(
                    f"{path}: unknown or missing column '{wrong[0]}'",
                    f"patient,split,{','.join(layout.needed)} and, if wanted, "
                    f"{','.join(layout.optional)}",
                )
            rows = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "a CSV file in UTF-8") from error
    return [_case_of_row(row, where, path.parent, layout) for where, row in rows]


def _case_of_row(row: dict[str, str], where: str, base: Path, layout: Layout) -> Case:
    cells = {name: (cell or "").strip() for name, cell in row.items() if isinstance(name, str)}
    if not cells["patient"]:
        raise InputError(f"{where}: no patient", "who the images show")
    if cells["split"] not in SPLITS:
        raise InputError(f"{where}: the split '{cells['split']}'", f"one of {', '.join(SPLITS)}")
    files = {kind: base / cells[kind] for kind in layout.kinds if cells.get(kind)}
    return Case(cells["patient"], cells["split"], files, where)
