"""VTK images as numpy arrays (K, J, I) or (K, J, I, C), without copies where possible."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import get_vtk_array_type, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData


def image_array(image: vtkImageData) -> np.ndarray:
    """View of the scalars of ``image``; writing into it changes the image."""
    scalars = image.GetPointData().GetScalars()
    components = scalars.GetNumberOfComponents()
    shape = image.GetDimensions()[::-1]
    values: np.ndarray = vtk_to_numpy(scalars)
    return values.reshape(shape if components == 1 else (*shape, components))


def new_image(shape: tuple[int, ...], dtype: np.dtype, components: int = 1) -> vtkImageData:
    """Image of ``shape`` (K, J, I), spacing 1, filled with zeros."""
    image = vtkImageData()
    image.SetDimensions(*shape[::-1])
    kind = get_vtk_array_type(dtype)
    image.AllocateScalars(kind, components)
    image_array(image).fill(0)
    return image


def image_from_array(values: np.ndarray) -> vtkImageData:
    """Image with a copy of ``values`` (K, J, I)."""
    image = new_image(values.shape, values.dtype)
    image_array(image)[...] = values
    return image


def touched(image: vtkImageData) -> None:
    """Say that the array of ``image`` was written to; images and pipelines then look again."""
    image.GetPointData().GetScalars().Modified()
    image.Modified()
