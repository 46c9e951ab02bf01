"""One way to a tissue map, whoever says what is where."""

from __future__ import annotations

from pathlib import Path

from ..engine import Progress
from ..errors import Cancelled, InputError
from ..io import read_segmentation
from ..tissues import (
    CANNOT_SEE,
    CT,
    MR,
    TissueScheme,
    body_mask,
    check_hounsfield,
    fill_body,
    fill_pockets,
    find_flaws,
    labels_on,
    load_scheme,
    scheme_names,
    segment_ct,
)
from ..types import Image, LabelMap
from .options import OWN_CLASSES, THRESHOLD, Segmentation, SegmentOptions, StopAsked
from .total import Task, run_total

DEFAULT_SCHEME = "ct-threshold"
MODALITY = {"total": CT, "total_mr": MR}


def segment(
    image: Image,
    options: SegmentOptions | None = None,
    progress: Progress | None = None,
    cancelled: StopAsked | None = None,
) -> Segmentation:
    """A tissue map of ``image``, made by a segmenter.

    Args:
        image: 3D CT in HU; MR too with TotalSegmentator and a scheme of the task ``total_mr``.
        options: segmenter, tissue scheme, and how TotalSegmentator runs.
        progress: called with the step and the fraction done.
        cancelled: asked often by TotalSegmentator, once by the built-in segmenter.

    Raises:
        InputError: an option or the image is at fault; TotalSegmentator is missing or fails.
        Cancelled: ``cancelled`` was true.
    """
    options = options or SegmentOptions()
    if cancelled is not None and cancelled():
        raise Cancelled("the segmentation was cancelled")
    report = progress or (lambda step, fraction: None)
    if options.backend == THRESHOLD:
        scheme = _scheme(options.tissues or DEFAULT_SCHEME)
        report("segmenting", 0.0)
        labels = segment_ct(image)
        report("segmenting", 1.0)
        if scheme is None:
            return Segmentation(labels, (CANNOT_SEE,))
        told = scheme.left_over(labels)
        return Segmentation(scheme.apply(labels), (CANNOT_SEE, *([told] if told else [])))
    scheme = scheme_with_task(options.tissues)
    task = Task(scheme.task, scheme.class_subset()) if scheme and scheme.task else Task("total")
    if scheme and scheme.rest and MODALITY.get(scheme.task or "") == CT:
        check_hounsfield(image, within=True)  # before minutes of work: the body is filled after it
    labels, notes, cached = run_total(image, task, options, progress, cancelled)
    made, findings = _tissue_map(labels, scheme, image)
    return Segmentation(made, (*notes, *findings), cached)


def tissues_from_labels(path: str | Path, image: Image, tissues: str | None = None) -> Segmentation:
    """A tissue map of ``image`` from labels that somebody has drawn or another program has made.

    Args:
        path: NIfTI, NRRD (also 3D Slicer's ``.seg.nrrd``), MetaImage, DICOM SEG or RTSTRUCT.
        image: the scan that the labels belong to; the result lies on its grid.
        tissues: tissue scheme, a name or a ``.toml`` file; without one the labels stay as they
            are named.

    Raises:
        InputError: the file is at fault, or a label belongs to no tissue of the scheme.
    """
    labels, remarks = read_segmentation(path, image.grid)
    scheme = _scheme(tissues or OWN_CLASSES)
    moved, lost = labels_on(labels, image.grid)
    if not bool(moved.data.any()):
        raise InputError(
            f"{path}: no label lies in {image.name}",
            "labels of the same scan, in its frame",
            "check that they belong together",
        )
    made, findings = _tissue_map(moved, scheme, image)
    return Segmentation(made, (*remarks, *lost, *findings))


def _tissue_map(
    labels: LabelMap, scheme: TissueScheme | None, image: Image
) -> tuple[LabelMap, tuple[str, ...]]:
    """Labels → tissues; gaps are filled, what is odd is found.

    The rest of the body is filled where the scheme has a rest other than its label 0, and says by
    its task what kind of scan ``image`` is.
    """
    if scheme is None:
        return labels, find_flaws(labels)
    made, told = scheme.apply(labels), scheme.left_over(labels)
    rest = next((t.label for t in scheme.tissues if t.name == scheme.rest), 0)
    filled: tuple[str, ...] = ()
    if rest:
        made, filled = fill_pockets(made)
    if rest and scheme.task in MODALITY:
        made, body = fill_body(made, body_mask(image, MODALITY[scheme.task]), rest)
        filled += body
    return made, (*([told] if told else []), *filled, *find_flaws(made))


def _scheme(name: str) -> TissueScheme | None:
    return None if name == OWN_CLASSES else load_scheme(name)


def scheme_with_task(name: str | None) -> TissueScheme | None:
    """The scheme that says which classes TotalSegmentator computes; ``None`` keeps all.

    Raises:
        InputError: the scheme names no task of TotalSegmentator, or there is none.
    """
    scheme = _scheme(name) if name else None
    if name == OWN_CLASSES or (scheme and scheme.task in MODALITY):
        return scheme
    fitting = ", ".join(n for n in scheme_names() if load_scheme(n).task in MODALITY)
    lacking = f"the tissue scheme {name}, which names no TotalSegmentator task"
    raise InputError(
        lacking if name else "TotalSegmentator without a tissue scheme",
        f"--tissues with one of {fitting}, or a file with a task",
        "name one; --tissues none keeps all classes as they are",
    )
