"""What tells whether a node was changed since it was written, across saving and loading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy

from .arrays import image_array
from .nodes import Node, name_of

Buffer = bytes | memoryview


def fingerprint(node: Node) -> str:
    """A checksum of the name of a node and of what it holds; not of its place or display.

    Args:
        node: volume, segmentation or grid transform.
    """
    total = crc32(name_of(node).encode())
    for part in _parts(node):
        total = crc32(part, total)
    return f"{total:08x}"


def _parts(node: Node) -> Iterator[Buffer]:
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        for number in range(segmentation.GetNumberOfSegments()):
            key = segmentation.GetNthSegmentID(number)
            segment = segmentation.GetSegment(key)
            yield str(segment.GetName()).encode()
            yield from _shape(node.GetBinaryLabelmapInternalRepresentation(key), segment)
    elif node.IsA("vtkMRMLVolumeNode"):
        yield from _voxels(node.GetImageData())
    elif node.IsA("vtkMRMLTransformNode"):
        transform = node.GetTransformFromParent() or node.GetTransformToParent()
        if transform is not None and hasattr(transform, "GetDisplacementGrid"):
            yield from _voxels(transform.GetDisplacementGrid())


def _shape(image: Node, segment: Node) -> Iterator[Buffer]:
    """What is drawn, cut to it: a file may keep segments in one image, and cut that otherwise."""
    if image is None or image.GetNumberOfPoints() == 0:
        return
    drawn = image_array(image) == segment.GetLabelValue()
    for axis in range(drawn.ndim):
        others = tuple(other for other in range(drawn.ndim) if other != axis)
        shown = np.flatnonzero(drawn.any(axis=others))
        drawn = drawn.take(range(shown[0], shown[-1] + 1) if len(shown) else [], axis=axis)
    yield str(drawn.shape).encode()
    yield np.packbits(drawn).tobytes()


def _voxels(image: Node) -> Iterator[Buffer]:
    scalars = None if image is None else image.GetPointData().GetScalars()
    if scalars is not None:
        values: Any = vtk_to_numpy(scalars)
        # A file may keep them in another precision.
        kind = np.float32 if values.dtype.kind == "f" else values.dtype
        values = np.ascontiguousarray(values, kind)
        yield memoryview(values).cast("B")
