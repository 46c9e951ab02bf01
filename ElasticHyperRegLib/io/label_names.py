"""Names of labels inside the file of a label map.

NRRD: the keys of 3D Slicer's segmentations. NIfTI: the label table of Connectome Workbench
(extension code 30, XML), which TotalSegmentator writes as well, under another code.
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import SimpleITK as sitk
from nibabel.nifti1 import Nifti1Extension
from nibabel.spatialimages import HeaderDataError

from ..errors import InputError

CARET = 30
_ZERO = "BackgroundName"
_SEGMENT_KEY = re.compile(r"Segment(\d+)_(\w+)")
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_TABLE = b"<LabelTable>"


def slicer_segments(volume: sitk.Image | sitk.ImageFileReader) -> list[dict[str, str]]:
    """What a ``.seg.nrrd`` says of its segments, by key (``Name``, ``LabelValue``, ``Layer``)."""
    segments: dict[int, dict[str, str]] = {}
    for key in volume.GetMetaDataKeys():
        if match := _SEGMENT_KEY.fullmatch(key):
            segments.setdefault(int(match[1]), {})[match[2]] = volume.GetMetaData(key)
    return [segments[number] for number in sorted(segments)]


def names_in_nrrd(volume: sitk.Image) -> dict[int, str]:
    """Label value → segment name, as 3D Slicer writes them; before 4.11 without the value, 1."""
    own = {0: volume.GetMetaData(_ZERO)} if volume.HasMetaDataKey(_ZERO) else {}
    return own | {
        whole_number(segment, "LabelValue", 1): segment["Name"]
        for segment in slicer_segments(volume)
        if "Name" in segment
    }


def whole_number(segment: Mapping[str, str], key: str, default: int) -> int:
    """What a segment says under ``key``.

    Raises:
        InputError: no whole number from 0 on.
    """
    text = segment.get(key, str(default)).strip()
    if not text.isdecimal():
        raise InputError(
            f"the segment {segment.get('Name', '')} with {key} '{text:.20}'", "a whole number"
        )
    return int(text)


def put_names_in_nrrd(volume: sitk.Image, names: Mapping[int, str]) -> None:
    """Write ``names`` where 3D Slicer looks for them, that of 0 elsewhere: it is no segment there.

    Without its layer Slicer finds the first segment alone.
    """
    if 0 in names:
        volume.SetMetaData(_ZERO, names[0])
    volume.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    extent = " ".join(f"0 {length - 1}" for length in volume.GetSize())
    segments = ((label, name) for label, name in sorted(names.items()) if label)
    for number, (label, name) in enumerate(segments):
        told = {"ID": f"Segment_{label}", "Name": name, "LabelValue": str(label)}
        for key, value in (told | {"Layer": "0", "Extent": extent}).items():
            volume.SetMetaData(f"Segment{number}_{key}", value)


def names_in_nifti(path: Path) -> dict[int, str]:
    """Label value → name of the label table in a NIfTI file; none where there is no table."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            # Without the image: nibabel refuses geometries that ITK reads.
            header = nib.Nifti1Header.from_fileobj(file, check=False)
    except (ValueError, HeaderDataError, struct.error):
        return {}  # a damaged extension: the labels can be read without it
    extensions: Iterable[Nifti1Extension] = header.extensions
    for extension in extensions:
        # nibabel decodes what it knows; it has raw bytes for the rest, since 5.3 by another name.
        raw = extension.content if hasattr(extension, "content") else extension.get_content()
        if isinstance(raw, bytes) and _TABLE in raw:
            return _names_of_table(raw)
    return {}


def name_table(names: Mapping[int, str]) -> Nifti1Extension:
    """The NIfTI extension that holds ``names``."""
    root = ElementTree.Element("CaretExtension")
    volume = ElementTree.SubElement(root, "VolumeInformation", Index="0")
    table = ElementTree.SubElement(volume, "LabelTable")
    for label, name in sorted(names.items()):
        ElementTree.SubElement(table, "Label", Key=str(label)).text = name
    ElementTree.SubElement(volume, "VolumeType").text = "Label"
    text = _XML + ElementTree.tostring(root, encoding="unicode")
    return Nifti1Extension(CARET, text.encode("utf-8"))


def _names_of_table(text: bytes) -> dict[int, str]:
    try:
        root = ElementTree.fromstring(text.strip(b"\0 \n"))
    except ElementTree.ParseError:
        return {}  # somebody else's extension: the labels can be read without it
    found = {}
    for entry in root.iter("Label"):
        key, name = entry.get("Key", ""), (entry.text or "").strip()
        if key.isdecimal() and name:
            found[int(key)] = name
    return found
