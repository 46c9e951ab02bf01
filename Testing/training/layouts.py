"""Tiny copies of the folders that data sets come in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from ElasticHyperRegLib import Grid, Image, LabelMap
from ElasticHyperRegLib.io import write_image, write_labels

SIDES = ("fixed", "moving")


def write_volume(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (1.8,) * 3) -> Path:
    """``values`` (K, J, I) as a NIfTI file; integers are written as labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = Grid.from_spacing(values.shape, spacing)
    data = torch.from_numpy(values)[None, None]
    if np.issubdtype(values.dtype, np.integer):
        write_labels(LabelMap(data.int(), grid), path)
    else:
        write_image(Image(data.float(), grid), path)
    return path


def write_raw(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (1.8,) * 3) -> Path:
    """As ``write_volume``, whatever the values are."""
    import nibabel as nib

    nib.save(nib.Nifti1Image(values.T, np.diag([*spacing, 1.0])), path)
    return path


def heart(shape: tuple[int, int, int] = (5, 40, 44), radius: float = 8.0) -> np.ndarray:
    """Labels (K, J, I): a ring of myocardium around the left cavity, the right one beside it."""
    _, j, i = np.indices(shape)
    distance = np.hypot(j - 22, i - 24)
    labels = np.zeros(shape, np.int16)
    labels[np.hypot(j - 22, i - 10) < 5] = 1
    labels[distance < radius] = 2
    labels[distance < radius - 4] = 3
    labels[0] = labels[-1] = 0
    return labels


def scan(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """An image of ``labels`` with noise."""
    rng = np.random.default_rng(seed)
    return (100.0 * labels + rng.uniform(0, 20, labels.shape)).astype(np.float32)


def add_acdc_patient(root: Path, part: str, number: int) -> Path:
    """``<root>/<part>/patientNNN`` with end diastole in frame 1 and end systole in frame 7."""
    folder = root / part / f"patient{number:03d}"
    name = f"{folder.name}_frame"
    for frame, radius in ((1, 9.0), (7, 7.0)):
        labels = heart(radius=radius)
        write_volume(folder / f"{name}{frame:02d}.nii.gz", scan(labels, frame + number))
        write_volume(folder / f"{name}{frame:02d}_gt.nii.gz", labels)
    (folder / "Info.cfg").write_text("ED: 1\nES: 7\nGroup: NOR\nHeight: 170.0\n")
    return folder


def acdc(root: Path) -> Path:
    """Two patients to train on, one each to validate and to test on."""
    for part, number in (("training", 1), ("training", 2), ("testing", 101), ("testing", 121)):
        add_acdc_patient(root, part, number)
    return root


def blob(shape: tuple[int, int, int] = (10, 12, 14), shift: int = 0) -> np.ndarray:
    """CT (K, J, I): soft tissue in air, moved by ``shift`` voxels along i."""
    k, j, i = np.indices(shape)
    distance = np.sqrt((k - 5.0) ** 2 + (j - 6.0) ** 2 + (i - 7.0 - shift) ** 2)
    rng = np.random.default_rng(shift)
    values = np.where(distance < 4, 40.0, -900.0) + rng.uniform(0, 20, shape)
    return values.astype(np.float32)


def learn2reg(root: Path, name: str, pairs: dict[str, list[tuple[str, str]]]) -> Path:
    """A paired Learn2Reg data set with masks and key points; names are ``NNNN_NNNN``."""
    images = dict.fromkeys(case for rows in pairs.values() for pair in rows for case in pair)
    for number, case in enumerate(images):
        shift = number % 2
        write_volume(root / "imagesTr" / f"{name}_{case}.nii.gz", blob(shift=shift), (1.5,) * 3)
        mask = (blob(shift=shift) > -500).astype(np.int16)
        write_volume(root / "masksTr" / f"{name}_{case}.nii.gz", mask, (1.5,) * 3)
        (root / "keypointsTr").mkdir(exist_ok=True)
        points = "".join(f"{i + shift},6.0,5.0\n" for i in (5, 7, 9))
        (root / "keypointsTr" / f"{name}_{case}.csv").write_text(points)
    write_description(root, name, pairs, ["image", "mask", "keypoints"])
    return root


def write_description(
    root: Path, name: str, pairs: dict[str, list[tuple[str, str]]], provided: list[str]
) -> None:
    """``<name>_dataset.json`` with the keys that Learn2Reg's own have.

    Every scan stands under ``training``, those of validation too; points are entered there with
    the ending of an image, as they are in the published files.
    """

    def place(kind: str, case: str) -> str:
        folder = {"image": "images", "label": "labels", "mask": "masks"}.get(kind, kind)
        return f"./{folder}Tr/{name}_{case}.nii.gz"

    def rows(split: str) -> list[dict[str, str]]:
        return [
            {side: place("image", case) for side, case in zip(SIDES, pair, strict=True)}
            for pair in pairs.get(split, [])
        ]

    cases = dict.fromkeys(case for rows in pairs.values() for pair in rows for case in pair)
    table = {
        "name": name,
        "release": "1.1",
        "pairings": "unpaired" if "singles" in pairs else "paired",
        "provided_data": {"0": provided},
        "registration_direction": {"fixed": 0, "moving": 1},
        "modality": {"0": "CT"},
        "tensorImageSize": {"0": "3D"},
        "numTraining": len(cases),
        "training": [{kind: place(kind, case) for kind in provided} for case in cases],
        "test": [],
        "numPairedTraining": len(pairs.get("train", [])),
        "training_paired_images": rows("train"),
        "test_paired_images": [],
        "numRegistration_val": len(pairs.get("val", [])),
        "registration_val": rows("val"),
        "numRegistration_test": len(pairs.get("test", [])),
        "registration_test": rows("test"),
    }
    (root / f"{name}_dataset.json").write_text(json.dumps(table))
