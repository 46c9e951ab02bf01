"""The pairs to register, written as files that every program can read.

Each set is a function ``(data, folder) -> cases``: ``data`` is the folder of real images, and what
has to be prepared is written to ``folder``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ElasticHyperRegLib import RegistrationOptions, RegistrationRequest, register
from ElasticHyperRegLib.io import read_image, read_labels, to_sitk, write_image, write_labels
from ElasticHyperRegLib.io import write_points as save_points
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.types import Image, LabelMap

from .vessels import matched_vessels

AIR_HU = -1024
ACDC_SPACING_MM = 1.8
ACDC_SIZE = 128


@dataclass(frozen=True)
class Case:
    """One pair and what is known about it; only the images and masks are shown to a program.

    Args:
        name: of the pair.
        fixed: image file.
        moving: image file.
        fixed_mask: where similarity counts.
        moving_mask: likewise.
        labels: fixed and moving label files, to measure with.
        points: name of a group of landmarks → its fixed and moving files, to measure with.
        truth: true displacement on the fixed grid, NumPy file (1, D, *shape), RAS mm.
        affine: whether the programs find an affine alignment first.
    """

    name: str
    fixed: Path
    moving: Path
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    labels: tuple[Path, Path] | None = None
    points: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    truth: Path | None = None
    affine: bool = True


def real_images() -> Path:
    """The folder of real images: ``ELASTIC_HYPERREG_DATA``, else ``shared/data`` beside us."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("ELASTIC_HYPERREG_DATA", beside))


def lung(data: Path, folder: Path) -> list[Case]:
    """The lung CT pair; what lies outside the field of view (−2048) becomes air."""
    there = data / "lung_ct_pair"
    scans = (read_image(there / "fixed.mha"), read_image(there / "moving.mha"))
    masks = (there / "fixed_lung_mask.mha", there / "moving_lung_mask.mha")
    pair = (folder / "fixed.nrrd", folder / "moving.nrrd")
    points = (folder / "fixed_vessels.csv", folder / "moving_vessels.csv")
    for image, path in zip(scans, pair, strict=True):
        write_image(Image(image.data.clamp(min=AIR_HU), image.grid), path)
    for found, path in zip(lung_vessels(*scans, read_labels(masks[0])), points, strict=True):
        save_points(found, path)
    return [Case("lung", *pair, *masks, labels=masks, points={"vessels": points})]


def lung_vessels(fixed: Image, moving: Image, lungs: LabelMap) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of the lung pair, looked for about where our own solver has them."""
    guess = register(RegistrationRequest(fixed, moving, options=RegistrationOptions(model="none")))
    return matched_vessels(fixed, moving, lungs, guess.displacement)


def liver(data: Path, folder: Path) -> list[Case]:
    """Liver MR: the exhale master and two breathing phases; no affine, the frame is the same."""
    there = data / "liver_mr" / "dataset19"
    cases = []
    for phase in ("cyc_1_6", "cyc_1_9"):
        points = {
            region: (there / f"exhMasterLM{region}.vtk", there / f"{phase}LM{region}.vtk")
            for region in ("liver", "outside")
        }
        fixed = there / "exhMaster_unmasked.force_direction.mha"
        moving = there / f"{phase}.force_direction.mha"
        cases.append(Case(phase, fixed, moving, points=points, affine=False))
    return cases


def phantom(data: Path, folder: Path, size: int = 128) -> list[Case]:
    """The package's own thorax phantom, whose deformation is known."""
    made = make_phantom(PhantomOptions(size=size))
    labels, points = [], []
    for side in ("fixed", "moving"):
        write_image(getattr(made, side), folder / f"{side}.nrrd")
        labels.append(folder / f"{side}_labels.nrrd")
        write_labels(getattr(made, f"{side}_labels"), labels[-1])
        points.append(folder / f"{side}_points.csv")
        save_points(getattr(made, f"{side}_points"), points[-1])
    truth = folder / "truth.npy"
    np.save(truth, made.displacement.u_mm.numpy())
    return [
        Case(
            f"phantom {size}",
            folder / "fixed.nrrd",
            folder / "moving.nrrd",
            labels=(labels[0], labels[1]),
            points={"vessels": (points[0], points[1])},
            truth=truth,
            affine=False,
        )
    ]


def acdc(data: Path, folder: Path) -> list[Case]:
    """Middle slices of the ACDC test patients, ED and ES, prepared as in the publications."""
    patients = sorted((data / "acdc" / "testing").glob("patient*"))
    return [_acdc_case(patient, folder) for patient in patients]


def _acdc_case(patient: Path, folder: Path) -> Case:
    """1.8 mm isotropic, 128 × 128 about the middle of the fixed labels' box, intensities 0 to 1."""
    info = ConfigParser()
    info.read_string("[frames]\n" + (patient / "Info.cfg").read_text(encoding="utf-8"))
    files: dict[str, tuple[Path, Path]] = {}
    middle: np.ndarray | None = None
    for side, frame in (("fixed", "ED"), ("moving", "ES")):
        stem = patient / f"{patient.name}_frame{info.getint('frames', frame):02d}"
        labels = _isotropic(_label_volume(Path(f"{stem}_gt.nii.gz")), sitk.sitkNearestNeighbor)
        image = _isotropic(_image_volume(Path(f"{stem}.nii.gz")), sitk.sitkLinear)
        if middle is None:
            inside = np.argwhere(labels > 0)
            middle = (inside.min(0) + inside.max(0)) // 2
        cut = _cut(image, middle)
        cut = (cut - cut.min()) / (cut.max() - cut.min())
        names = [folder / f"{patient.name}_{side}{kind}.nrrd" for kind in ("", "_labels")]
        _write_slice(cut.astype(np.float32), names[0])
        _write_slice(_cut(labels, middle).astype(np.uint8), names[1])
        files[side] = (names[0], names[1])
    pairs = list(zip(files["fixed"], files["moving"], strict=True))
    return Case(patient.name, *pairs[0], labels=pairs[1], affine=False)


def _image_volume(path: Path) -> sitk.Image:
    image = read_image(path)
    return to_sitk(image.data, image.grid)


def _label_volume(path: Path) -> sitk.Image:
    labels = read_labels(path)
    return to_sitk(labels.data, labels.grid)


def _isotropic(image: sitk.Image, interpolator: int) -> np.ndarray:
    spacing = np.asarray(image.GetSpacing())
    size = np.round(np.asarray(image.GetSize()) * spacing / ACDC_SPACING_MM).astype(int)
    resampled = sitk.Resample(
        image,
        size.tolist(),
        sitk.Transform(),
        interpolator,
        image.GetOrigin(),
        [ACDC_SPACING_MM] * 3,
        image.GetDirection(),
    )
    return sitk.GetArrayFromImage(resampled)


def _cut(volume: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The 128 × 128 voxels about ``middle`` (k, j, i) in its slice, zero outside the volume."""
    half = ACDC_SIZE // 2
    padded = np.pad(volume[middle[0]], half)
    j, i = middle[1:]
    return padded[j : j + ACDC_SIZE, i : i + ACDC_SIZE]


def _write_slice(values: np.ndarray, path: Path) -> None:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([ACDC_SPACING_MM] * 2)
    sitk.WriteImage(image, path, useCompression=True)


SETS: dict[str, Callable[[Path, Path], list[Case]]] = {
    "phantom": phantom,
    "lung": lung,
    "acdc": acdc,
    "liver": liver,
}
