"""DICOM Segmentation objects, by highdicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..types import Grid
from .itk import ras_lps
from .segments import Segment


def read_dicom_seg(path: Path) -> tuple[list[Segment], Grid]:
    """Segments of a DICOM SEG file, and the grid that they lie on.

    A fractional segment counts where it is one half or more. Slices without any segment, which
    such files leave out, are empty.

    Raises:
        InputError: highdicom is missing; or the file is damaged, tiled, or no regular volume.
    """
    try:
        import highdicom
    except ImportError as error:
        raise InputError(
            f"{path}, a DICOM segmentation",
            "the package highdicom to read it with",
            'run pip install "elastic-hyperreg[dicom]"',
        ) from error
    try:
        file = highdicom.seg.segread(path)
        volume = file.get_volume(combine_segments=False)
    except (ValueError, RuntimeError, AttributeError, KeyError, TypeError, EOFError) as error:
        reason = (str(error).strip().splitlines() or ["damaged"])[0]
        raise InputError(
            f"{path} cannot be read as a segmentation ({reason:.120})",
            "a complete DICOM SEG of one volume",
            "export it again, or as NIfTI",
        ) from error
    masks = np.asarray(volume.array) >= 0.5  # (K, J, I, segment)
    matrix = np.eye(4)
    lps = volume.affine[:3, [2, 1, 0, 3]]  # its columns follow the axes of the array, k first
    matrix[:3] = ras_lps(lps.T).T
    names = [str(file.get_segment_description(n).segment_label) for n in file.segment_numbers]
    segments = [Segment(name, masks[..., n]) for n, name in enumerate(names)]
    return segments, Grid(masks.shape[:3], matrix)
