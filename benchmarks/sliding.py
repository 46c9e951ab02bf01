"""Does a sliding band keep the surroundings of a breathing liver where they are?

python -m benchmarks.sliding --out bench-result                      # dataset19, moved on
python -m benchmarks.sliding --out bench-result --pairs FOLDER …     # pairs laid out like it

Each pair is registered by the command line as a user types it, without and with a band, and
measured at its landmarks. A folder of pairs holds exhMaster*.mha, other phases cyc_*.mha, for each
of them landmarks as exhMasterLMliver.vtk and exhMasterLMoutside.vtk, and, where somebody has drawn
it, liver.nrrd (or .nii.gz, .mha). Without that the liver is what lies about its landmarks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ElasticHyperRegLib.grid import map_points
from ElasticHyperRegLib.io import read_image, read_labels, read_points, write_image, write_labels
from ElasticHyperRegLib.io import write_points as save_points
from ElasticHyperRegLib.types import Image, LabelMap

from .cases import Case, real_images
from .measure import measure
from .run import UNREGISTERED, write

REGIONS = ("liver", "outside")
MASTER = "exhMaster"
ABOUT_MM = 16.0
"""The liver reaches farther than the outermost of its landmarks."""
DIRECTIONS = 400
DARK = 0.5
"""What is darker than this part of the liver's brightness is lung."""


@dataclass(frozen=True)
class Pair:
    """What is registered, and by what it is measured."""

    case: Case
    liver: Path


def about_landmarks(image: Image, points: np.ndarray) -> LabelMap:
    """What lies within ``ABOUT_MM`` of the hull of ``points`` and is not dark: roughly the liver.

    Only for where the band runs: the landmarks of one scan say nothing about its deformation.
    """
    normals = _directions(DIRECTIONS)
    reach = (normals @ points.T).max(axis=1) + ABOUT_MM
    grid = image.grid
    inside = np.empty(grid.shape, bool)
    for k in range(grid.shape[0]):
        j, i = np.indices(grid.shape[1:])
        ijk = np.stack([i.ravel(), j.ravel(), np.full(i.size, k)], axis=1)
        places = map_points(grid.ijk_to_ras, ijk)
        inside[k] = (places @ normals.T <= reach).all(axis=1).reshape(i.shape)
    values = image.data[0, 0].numpy()
    inside &= values > DARK * np.median(values[inside])
    data = torch.from_numpy(inside.astype(np.int32))[None, None]
    return LabelMap(data, grid, {1: "liver"}, "about the landmarks")


def liver_of(folder: Path, fixed: Path) -> LabelMap:
    """The liver of the exhale scan as somebody has drawn it, else about its landmarks."""
    drawn = [p for s in (".nrrd", ".nii.gz", ".mha") if (p := folder / f"liver{s}").exists()]
    if not drawn:
        return about_landmarks(read_image(fixed), read_points(folder / f"{MASTER}LMliver.vtk"))
    labels = read_labels(drawn[0])
    return LabelMap((labels.data > 0).int(), labels.grid, {1: "liver"})


def given_pairs(folder: Path, work: Path) -> Iterator[Pair]:
    """The pairs that lie in ``folder``, exhale against every other phase."""
    scans = sorted(folder.glob(f"{MASTER}*.mha"))
    if len(scans) != 1:
        raise SystemExit(f"{folder} holds {len(scans)} files {MASTER}*.mha; expected one")
    (fixed,) = scans
    liver = work / f"{folder.name}_liver.nrrd"
    write_labels(liver_of(folder, fixed), liver)
    for moving in sorted(folder.glob("cyc_*.mha")):
        phase = moving.name.split(".")[0]
        points = {
            region: (folder / f"{MASTER}LM{region}.vtk", folder / f"{phase}LM{region}.vtk")
            for region in REGIONS
        }
        yield Pair(Case(f"{folder.name} {phase}", fixed, moving, points=points), liver)


def moved_pairs(folder: Path, work: Path, only: Sequence[str]) -> Iterator[Pair]:
    """The pairs of ``dataset19``, as they are and moved on; of these those named in ``only``."""
    from .sliding_motion import MOTIONS, Mover, drawn_liver

    pairs = list(given_pairs(folder, work))
    grid = read_image(pairs[0].case.fixed).grid
    liver = work / "drawn_liver.nrrd"
    write_labels(drawn_liver(grid), liver)
    yield from (Pair(pair.case, liver) for pair in pairs)
    for number, motion in enumerate(MOTIONS):
        if only and motion.name not in only:
            continue
        case = pairs[number % len(pairs)].case
        mover = Mover(motion, grid)
        moving = work / f"{motion.name}.nrrd"
        write_image(mover.image(read_image(case.moving)), moving)
        points = {}
        for region, (fixed, there) in case.points.items():
            file = work / f"{motion.name}_{region}.csv"
            save_points(mover.points(read_points(there), region == "liver"), file)
            points[region] = (fixed, file)
        yield Pair(Case(motion.name, case.fixed, moving, points=points), liver)


def registered(pair: Pair, options: Sequence[str], out: Path, threads: int) -> dict[str, Any]:
    """Run ``elastic-hyperreg register`` on a pair; its measures and its wall time."""
    words = ["--fixed", pair.case.fixed, "--moving", pair.case.moving]
    words += ["--out", out, "--overwrite", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = perf_counter()
    command = [sys.executable, "-m", "ElasticHyperRegLib", "register", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    seconds = perf_counter() - start
    return {**measure(pair.case, out / "transform.h5"), "time [s]": seconds}


def compare(pairs: Sequence[Pair], border: str, out: Path, threads: int) -> list[dict[str, Any]]:
    """One record for each pair and way of registering it."""
    ways: dict[str, Sequence[str] | None] = {UNREGISTERED: None, "without band": ()}
    records = []
    for pair in pairs:
        band = ("--fixed-labels", str(pair.liver), "--sliding", border)
        for way, options in {**ways, f"--sliding {border}": band}.items():
            place = out / pair.case.name.replace(" ", "_")
            found = (
                measure(pair.case, None)
                if options is None
                else registered(pair, options, place, threads)
            )
            records.append({"program": way, "case": pair.case.name, **found})
            print(f"{pair.case.name} · {way}: {_brief(found)}", file=sys.stderr)
    return records


def main() -> None:
    """Register, measure, write ``sliding.json`` and ``sliding.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = real_images() / "liver_mr" / "dataset19"
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    parser.add_argument("--data", type=Path, default=data, help="dataset19 of the liver MR data")
    parser.add_argument("--pairs", type=Path, nargs="+", help="folders of pairs, instead of it")
    parser.add_argument("--border", default="liver:rest", help="as for register --sliding")
    parser.add_argument("--only", nargs="+", default=[], help="names of the pairs, not all")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    work = given.out.resolve() / "sliding"
    work.mkdir(parents=True, exist_ok=True)
    if given.pairs:
        pairs = [pair for folder in given.pairs for pair in given_pairs(folder, work)]
    else:
        pairs = list(moved_pairs(given.data, work, given.only))
    chosen = [p for p in pairs if not given.only or p.case.name in given.only]
    records = compare(chosen, given.border, work, given.threads)
    write("sliding", records, given.out, given.threads)


def _brief(found: dict[str, Any]) -> str:
    errors = ", ".join(f"{region} {found[f'TRE {region} mean [mm]']:.2f} mm" for region in REGIONS)
    return f"{errors}, folds {found['folds [%]']:.4f} %, {found.get('time [s]', 0):.0f} s"


def _directions(count: int) -> np.ndarray:
    """Unit vectors spread evenly over the sphere, (count, 3)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


if __name__ == "__main__":
    main()
