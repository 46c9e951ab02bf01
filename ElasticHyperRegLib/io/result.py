"""The folder of files that a registration leaves behind."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Image
from .outputs import require_space, writing
from .transforms import transform_bytes, write_inverse, write_transform
from .volumes import write_image, write_labels

if TYPE_CHECKING:
    from ..engine.request import RegistrationResult

RESULT_FILES = (
    "transform.h5",
    "inverse.h5",
    "warped.nii.gz",
    "warped_labels.nii.gz",
    "jacobian.nii.gz",
    "preview.png",
    "request.json",
    "metrics.json",
)


def write_result(
    result: RegistrationResult, folder: Path, request_record: Mapping[str, Any]
) -> dict[str, Any]:
    """Write every file of a result into an existing folder.

    Args:
        result: what the registration found.
        folder: where ``RESULT_FILES`` go; see ``OutputFolder``.
        request_record: everything needed to repeat the run, the content of ``request.json``.

    Returns:
        The content of ``metrics.json``: the metrics of the result, without what does not apply,
        with the seconds spent here as ``seconds.write`` and counted in ``seconds.total``.

    Raises:
        InputError: the disk is full, a file cannot be written, matplotlib is missing.
    """
    from ..preview import render_preview  # here, as it imports io.itk itself

    start = time.perf_counter()
    require_space(folder, _space_needed(result))
    write_transform(result.displacement, result.initial, folder / "transform.h5")
    write_inverse(result.inverse, result.initial, folder / "inverse.h5")
    write_image(result.warped, folder / "warped.nii.gz")
    if result.warped_labels is not None:
        write_labels(result.warped_labels, folder / "warped_labels.nii.gz")
    jacobian = Image(result.jacobian, result.displacement.grid, "jacobian")
    write_image(jacobian, folder / "jacobian.nii.gz")
    known = finite_only(result.metrics)
    with writing(folder / "preview.png"):
        render_preview(replace(result, metrics=known), folder / "preview.png")
    write_json(request_record, folder / "request.json")
    seconds = dict(known.get("seconds", {}))
    seconds["write"] = time.perf_counter() - start
    seconds["total"] = seconds.get("total", 0.0) + seconds["write"]
    metrics = {**known, "seconds": seconds}
    write_json(metrics, folder / "metrics.json")
    return metrics


def write_json(record: Mapping[str, Any], path: Path) -> None:
    """Write a record as JSON."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False, default=_encode)
    with writing(path):
        path.write_text(text + "\n", encoding="utf-8")


def finite_only(record: Mapping[str, Any]) -> dict[str, Any]:
    """``record`` without the keys that do not apply: None, NaN, infinite, nothing left inside."""
    kept: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            value = finite_only(value)
        if _applies(value):
            kept[str(key)] = value
    return kept


def _applies(value: Any) -> bool:
    if isinstance(value, (float, np.floating)):
        return math.isfinite(value)
    if isinstance(value, (list, tuple)):
        return all(_applies(item) for item in value)
    return value is not None and value != {}


def _encode(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON record")


def _space_needed(result: RegistrationResult) -> int:
    """The transforms are stored as they are; the images are bounded by half their float32."""
    images = 2 * result.displacement.grid.voxels * 4
    return transform_bytes(result.displacement) + transform_bytes(result.inverse) + images // 2
