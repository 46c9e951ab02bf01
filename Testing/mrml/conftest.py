"""A scene of 3D Slicer's own classes; skipped where they are not installed."""

from __future__ import annotations

import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install trame-slicer)")


@pytest.fixture
def scene():
    """An empty MRML scene."""
    made = slicer.vtkMRMLScene()
    yield made
    made.Clear(1)


@pytest.fixture
def warnings_as_errors():
    """What VTK complains about fails the test."""
    from vtkmodules.vtkCommonCore import vtkCommand, vtkOutputWindow

    heard = []
    window = vtkOutputWindow.GetInstance()
    kinds = (vtkCommand.ErrorEvent, vtkCommand.WarningEvent)
    tags = [window.AddObserver(kind, lambda _, event: heard.append(event)) for kind in kinds]
    yield heard
    for tag in tags:
        window.RemoveObserver(tag)
    assert heard == []


@pytest.fixture
def nodes(scene):
    """Fixed, moving, and segmentations of both."""
    from ElasticHyperRegLib.mrml import node_from_image, node_from_labels
    from Testing.unit.small_pair import small_request

    request = small_request()
    return (
        node_from_image(scene, request.fixed, "CT 1"),
        node_from_image(scene, request.moving, "CT 2"),
        node_from_labels(scene, request.fixed_labels, "tissues 1", {"body": (9, 8, 7)}),
        node_from_labels(scene, request.moving_labels, "tissues 2"),
    )
