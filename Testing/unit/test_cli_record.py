"""What tells an input from another one of the same name."""

from __future__ import annotations

import SimpleITK as sitk

from ElasticHyperRegLib.cli.record import checksums
from ElasticHyperRegLib.io import to_sitk
from Testing.unit.small_pair import small_request


def test_voxels_that_were_replaced_make_another_file(tmp_path):
    image = small_request().fixed
    sitk.WriteImage(to_sitk(image.data, image.grid), str(tmp_path / "a.mhd"))
    before = checksums({"a": tmp_path / "a.mhd"})
    [voxels] = [path for path in tmp_path.iterdir() if path.suffix != ".mhd"]
    voxels.write_bytes(voxels.read_bytes()[::-1])
    assert checksums({"a": tmp_path / "a.mhd"}) != before


def test_one_file_a_slice_is_one_input(tmp_path):
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 3\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mhd").write_text(head + "ElementDataFile = s%02d.raw 1 3 1\n")
    (tmp_path / "b.mhd").write_text(head + "ElementDataFile = LIST\ns01.raw\ns02.raw\ns03.raw\n")
    for number in (1, 2, 3):
        (tmp_path / f"s{number:02d}.raw").write_bytes(bytes(4))
    for name in ("a.mhd", "b.mhd"):
        before = checksums({"a": tmp_path / name})
        (tmp_path / f"{name}.txt").write_text("a note")
        assert checksums({"a": tmp_path / name}) == before
        (tmp_path / "s03.raw").write_bytes(name.encode()[:4])
        assert checksums({"a": tmp_path / name}) != before


def test_a_look_at_a_folder_does_not_change_it(tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"slice")
    before = checksums({"a": tmp_path})
    (tmp_path / ".DS_Store").write_bytes(b"icons")
    (tmp_path / "Thumbs.db").write_bytes(b"icons")
    assert checksums({"a": tmp_path}) == before
