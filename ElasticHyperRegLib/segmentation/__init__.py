"""Tissue maps: the built-in segmenter, TotalSegmentator as a program of its own, labels one has."""

from .install import install_program, private_folder
from .options import Segmentation, SegmentOptions
from .program import Program, find_program
from .run import scheme_with_task, segment, tissues_from_labels

__all__ = [
    "Program",
    "SegmentOptions",
    "Segmentation",
    "find_program",
    "install_program",
    "private_folder",
    "scheme_with_task",
    "segment",
    "tissues_from_labels",
]
