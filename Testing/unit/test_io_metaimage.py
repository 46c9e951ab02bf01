"""MetaImages whose voxels lie in several files."""

from __future__ import annotations

import zlib

import pytest

from ElasticHyperRegLib import read_image
from ElasticHyperRegLib.io.integrity import check_complete
from Testing.unit.test_io_volumes import refusal


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("LIST\ns01.raw\ns02.raw\n", "a.mhd is cut short: 8 of 12 bytes"),
        ("LIST\ns01.raw\ns02.raw\ns04.raw\n", "s04.raw does not exist"),
        ("LIST\ns01.raw\nshort.raw\nlong.raw\n", "short.raw is cut short: 2 of 4"),
        ("LIST\n", "a list of no files"),
        ("LIST 3D\ns01.raw\n", "expected LIST, LIST 2D or a pattern"),
        ("s%02d.raw 1 3\n", "or a pattern such as"),
        ("s%02d.raw 2 4 1\n", "s04.raw does not exist"),
        ("s%02d.raw one two\n", "or a pattern such as"),
    ],
)
def test_a_volume_in_several_files_is_complete(tmp_path, data, words):
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 3\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mhd").write_text(f"{head}ElementDataFile = {data}")
    for name, size in {"s01": 4, "s02": 4, "s03": 4, "long": 8, "short": 2}.items():
        (tmp_path / f"{name}.raw").write_bytes(bytes(range(size)))
    assert words in refusal(tmp_path / "a.mhd")
    for good in (
        "s%02d.raw 1 3 1",
        "s%02d.raw 1 9 1",
        "s%02d.raw",
        "LIST 2D\ns01.raw\ns02.raw\ns03.raw",
    ):
        (tmp_path / "a.mhd").write_text(f"{head}ElementDataFile = {good}\n")
        assert read_image(tmp_path / "a.mhd").data.numel() == 12
    for number in (1, 2, 3):
        (tmp_path / f"z {number}.raw").write_bytes(zlib.compress(bytes(4)))
    packed = f"{head}CompressedData = True\nElementDataFile = z %d.raw 1 3 1\n"
    (tmp_path / "a.mhd").write_text(packed)
    check_complete(tmp_path / "a.mhd")
