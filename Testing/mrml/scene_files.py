"""Scenes as files: a scene file with its data beside it, or a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile


def save(scene: Any, path: Path) -> None:
    """Write a scene to ``.mrml`` or ``.mrb``."""
    if path.suffix == ".mrb":
        assert scene.WriteToMRB(str(path))
        return
    scene.SetRootDirectory(str(path.parent))
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLStorableNode")
        if node.GetSaveWithScene() and node.AddDefaultStorageNode():
            storage = node.GetStorageNode()
            suffix = storage.GetDefaultWriteFileExtension()
            storage.SetFileName(str(path.parent / f"{node.GetID()}.{suffix}"))
            assert storage.WriteData(node)
    scene.SetURL(str(path))
    assert scene.Commit()


def load(scene: Any, path: Path) -> None:
    """Read a scene into an empty one."""
    if path.suffix == ".mrb":  # a bundle is a zip file; to open it Slicer's cache would be needed
        with ZipFile(path) as bundle:
            bundle.extractall(path.parent / "opened")
        (path,) = (path.parent / "opened").rglob("*.mrml")
    scene.SetURL(str(path))
    assert scene.Connect()
