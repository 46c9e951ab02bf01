"""TotalSegmentator's answers by the content of the image and the options that matter."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import InputError
from ..io import atomic_path, read_labels, write_labels
from ..types import Image, LabelMap
from .folders import cache_folder

KEPT = 100
"""Answers that are kept; the least recently used go first."""
_LOG = logging.getLogger(__name__)


def answer_key(image: Image, words: Sequence[str]) -> str:
    """Digest of the voxels, the grid and ``words``; the name of the image does not count."""
    digest = hashlib.sha256()
    data = image.data.detach().cpu().contiguous().numpy()
    for part in (data.tobytes(), image.grid.ijk_to_ras.tobytes()):
        digest.update(part)
    digest.update(json.dumps([list(image.grid.shape), list(words)]).encode())
    return digest.hexdigest()


def cached_answer(key: str) -> LabelMap | None:
    """The answer kept under ``key``; a damaged one counts as none."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        found = read_labels(path)
    except InputError as error:
        _LOG.warning("a kept answer is damaged and is made again: %s", error)
        return None
    with suppress(OSError):  # of a folder that may only be read
        path.touch()
    return found


def keep_answer(key: str, labels: LabelMap) -> None:
    """Keep ``labels`` under ``key``.

    Raises:
        InputError: the folder cannot be written.
    """
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, overwrite=True) as temporary:
        write_labels(labels, temporary)
    kept = sorted(path.parent.glob("*.nii.gz"), key=lambda p: p.stat().st_mtime_ns)
    for old in kept[:-KEPT]:
        old.unlink(missing_ok=True)


def _path(key: str) -> Path:
    return cache_folder() / "segmentations" / f"{key}.nii.gz"
