"""The thorax phantom as an endless source: a pool of patients, never twice the same images."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from ElasticHyperRegLib.alignment import KINDS, align
from ElasticHyperRegLib.engine.intensity import CT_WINDOW_HU, normalised
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.field import compose, mm_to_vox
from ElasticHyperRegLib.grid import apply_matrix, voxel_points
from ElasticHyperRegLib.io import atomic_path
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.phantom.body import FIELD_OF_VIEW_MM, TISSUES

from .motion import Motion, moved, rescanned
from .pair import SPLITS, PairSample, Window
from .scan import on_lattice

FIRST_SEED = {"train": 10_000_000, "val": 20_000_000, "test": 30_000_000}
"""Far from the seeds that people try, so that theirs are unseen."""

ARRAYS = ("fixed", "moving", "fixed_labels", "moving_labels", "u_vox")
POOL = 4
"""In the names of kept phantoms: raised when what makes them changes, so that older ones are not
taken for those of a seed."""
Arrays = dict[str, np.ndarray]
"""``fixed`` and ``moving`` float16 (0 to 1), their ``_labels`` uint8, ``u_vox`` float16."""


@dataclass(frozen=True)
class PhantomSourceOptions:
    """Which phantoms.

    Args:
        size: voxels along i, j, k over 333 × 256 × 307 mm; (104, 80, 96) has cubic voxels.
        phantoms: patients to train on; each takes seconds to make and is then kept.
        held_out: patients to validate, and as many others to test on.
        breath_mm: deepest descent of the diaphragm.
        initial: alignment that the pair has been through, as a network's pairs have in use.
        motion_mm: largest velocity of a further random motion of the moving image, in training.
        motion_scale_mm: smallest and largest scale of that motion.
        noise_hu: standard deviation of the noise, drawn anew for every pair.
        workers: processes that make the whole pool at once; 0 makes each when it is first asked.

    Raises:
        InputError: a value lies outside its range.
    """

    size: tuple[int, ...] = (104, 80, 96)
    phantoms: int = 64
    held_out: int = 8
    breath_mm: float = 25.0
    initial: str = "affine"
    motion_mm: float = 12.0
    motion_scale_mm: tuple[float, float] = (20.0, 60.0)
    noise_hu: float = 20.0
    workers: int = 0

    def __post_init__(self) -> None:
        if len(self.size) != 3:
            raise InputError(f"a phantom of size {self.size}", "three numbers of voxels")
        if min(self.phantoms, self.held_out) < 1 or min(self.noise_hu, self.workers) < 0:
            raise InputError(
                f"{self.phantoms} phantoms, {self.held_out} held out, noise {self.noise_hu:g} HU",
                "one or more of each, and a noise from 0 on",
            )
        if self.initial not in KINDS:
            raise InputError(f"the alignment '{self.initial}'", f"one of {', '.join(KINDS)}")
        self.of(0)

    def of(self, seed: int) -> PhantomOptions:
        """One patient of the pool; the noise is added later."""
        i, j, k = self.size
        return PhantomOptions((i, j, k), seed, self.breath_mm, noise_hu=0.0)


class PhantomSource:
    """Breathing thoraces whose true displacement is known; splits share no patient.

    Args:
        root: folder where finished phantoms are kept from one run to the next; None keeps them
            in memory alone.
        split: in ``train`` every pair gets noise, gamma and a further motion of its own; in
            ``val`` and ``test`` a pair is the same each time.
        options: which phantoms.
        window: of the intensities; they are seen as CT is by default, from −1000 to 600 HU.

    Raises:
        InputError: a kept file is damaged or ``root`` cannot be written; another window.
    """

    label_names = TISSUES

    def __init__(
        self,
        root: Path | None,
        split: str,
        options: PhantomSourceOptions = PhantomSourceOptions(),
        window: Window = None,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"the split '{split}'", f"one of {', '.join(SPLITS)}")
        if window not in (None, CT_WINDOW_HU):
            raise InputError(f"the window {window} for phantoms", f"{CT_WINDOW_HU} HU or none")
        if root is not None and not root.parent.is_dir():
            raise InputError(
                f"{root}, which cannot be made (no folder {root.parent})",
                "a folder to keep phantoms in",
            )
        self._options, self._split, self._root = options, split, root
        count = options.phantoms if split == "train" else options.held_out
        self._seeds = [FIRST_SEED[split] + i for i in range(count)]
        self._motion = Motion(options.motion_mm, *options.motion_scale_mm)
        self._kept: dict[int, Arrays] = {}
        self.shape = options.size[::-1]
        extent = zip(FIELD_OF_VIEW_MM, options.size, strict=True)
        self.spacing = tuple(mm / n for mm, n in extent)
        self.patients = tuple(f"phantom {seed}" for seed in self._seeds)
        if options.workers:
            self._make_all()

    def __len__(self) -> int:
        return len(self._seeds)

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """Phantom ``index``, in training under a further motion w of the moving image.

        moving′(y) = moving(y + w(y)), so that u′(x) = u(x) + w⁻¹(x + u(x)).
        """
        made = self._phantom(self._seeds[index])
        fixed, moving = (_tensor(made[name], np.float32) for name in ("fixed", "moving"))
        labels = _tensor(made["moving_labels"], np.int64)
        u_vox = torch.from_numpy(made["u_vox"].astype(np.float32))[None]
        if self._split == "train":
            motion = self._motion.draw(self.shape, self.spacing, rng)
            w_vox = motion.forward()
            moving, labels = moved(moving, w_vox), moved(labels, w_vox, nearest=True)
            u_vox = compose(u_vox, motion.inverse())
        else:
            rng = np.random.default_rng(self._seeds[index])
        noise = self._options.noise_hu / (CT_WINDOW_HU[1] - CT_WINDOW_HU[0])
        return PairSample(
            rescanned(fixed, noise, rng)[0],
            rescanned(moving, noise, rng)[0],
            _tensor(made["fixed_labels"], np.int64)[0],
            labels[0],
            u_vox[0],
            self.patients[index],
        )

    def _phantom(self, seed: int) -> Arrays:
        if seed not in self._kept:
            self._kept[seed] = self._stored(seed) or self._store(
                seed, make_aligned(self._options, seed)
            )
        return self._kept[seed]

    def _make_all(self) -> None:
        missing = []
        for seed in self._seeds:
            if stored := self._stored(seed):
                self._kept[seed] = stored
            else:
                missing.append(seed)
        # Not forked: a process that has already used several threads must not be.
        with ProcessPoolExecutor(self._options.workers, get_context("spawn")) as pool:
            made = pool.map(partial(make_aligned, self._options), missing)
            for seed, arrays in zip(missing, made, strict=True):
                self._kept[seed] = self._store(seed, arrays)

    def _path(self, seed: int) -> Path | None:
        if self._root is None:
            return None
        o = self._options
        size = "x".join(str(n) for n in o.size)
        return self._root / f"{seed}-{size}-{o.breath_mm:g}mm-{o.initial}-{POOL}.npz"

    def _stored(self, seed: int) -> Arrays | None:
        path = self._path(seed)
        if path is None or not path.exists():
            return None
        try:
            with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
                return {name: file[name] for name in ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise InputError(f"{path} is damaged", "a kept phantom", "delete it") from error

    def _store(self, seed: int, arrays: Arrays) -> Arrays:
        path = self._path(seed)
        if path is not None:
            _make_folder(path.parent)
            with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub, not its code
        return arrays


def make_aligned(options: PhantomSourceOptions, seed: int) -> Arrays:
    """One phantom after initial alignment A, fixed → moving.

    The moving image is seen through A: with φ(x) = A(x + d(x)) the truth becomes
    d(x) = A⁻¹(x + u(x)) − x.
    """
    phantom = make_phantom(options.of(seed))
    grid = phantom.fixed.grid
    fixed, moving = normalised(phantom.fixed), normalised(phantom.moving)
    matrix = align(options.initial, (fixed, grid, None), (moving, grid, None))
    identity = voxel_points(grid.shape, fixed)
    reached = identity + mm_to_vox(phantom.displacement.u_mm, grid)
    back = grid.ras_to_ijk @ np.linalg.inv(matrix) @ grid.ijk_to_ras
    u_vox = apply_matrix(back, reached) - identity
    labels = on_lattice(phantom.moving_labels.data, grid, grid, matrix, nearest=True)
    return {
        "fixed": fixed[0, 0].numpy().astype(np.float16),
        "moving": on_lattice(moving, grid, grid, matrix).astype(np.float16),
        "fixed_labels": phantom.fixed_labels.data[0, 0].numpy().astype(np.uint8),
        "moving_labels": labels.astype(np.uint8),
        "u_vox": u_vox[0].numpy().astype(np.float16),
    }


def _make_folder(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{root}, which cannot be made ({error.strerror})", "a folder to keep phantoms in"
        ) from error


def _tensor(array: np.ndarray, kind: type) -> torch.Tensor:
    """(1, 1, *shape) of another type."""
    return torch.from_numpy(array.astype(kind))[None, None]
