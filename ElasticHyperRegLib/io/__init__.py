"""Files in and out, one file per file format; the only place where LPS exists."""

from .integrity import existing_file
from .itk import from_sitk, image_from_array, to_sitk
from .outputs import OutputFolder, atomic_path
from .points import read_point_names, read_points, write_points
from .result import RESULT_FILES, write_json, write_result
from .segmentations import read_segmentation
from .segments import Segment, merge_segments
from .transforms import (
    apply_to_points,
    covered,
    covers_points,
    read_initial,
    read_transform,
    transform_displacement,
    write_inverse,
    write_transform,
)
from .volumes import (
    check_writable,
    read_grid,
    read_image,
    read_labels,
    write_image,
    write_labels,
)

__all__ = [
    "RESULT_FILES",
    "OutputFolder",
    "Segment",
    "apply_to_points",
    "atomic_path",
    "check_writable",
    "covered",
    "covers_points",
    "existing_file",
    "from_sitk",
    "image_from_array",
    "merge_segments",
    "read_grid",
    "read_image",
    "read_initial",
    "read_labels",
    "read_point_names",
    "read_points",
    "read_segmentation",
    "read_transform",
    "to_sitk",
    "transform_displacement",
    "write_image",
    "write_inverse",
    "write_json",
    "write_labels",
    "write_points",
    "write_result",
    "write_transform",
]
