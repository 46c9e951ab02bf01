"""What tells an input from another one of the same name."""

from __future__ import annotations

import pytest
import SimpleITK as sitk

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.cli import cohort
from ElasticHyperRegLib.cli.manifest import read_manifest
from ElasticHyperRegLib.cli.record import checksums
from ElasticHyperRegLib.io import to_sitk
from Testing.unit.cli_help import run
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


def test_a_summary_that_is_open_elsewhere_stops_no_case(tmp_path, capsys, monkeypatch):
    written: list[int] = []
    write = cohort._write_summary

    def refused(out, done, left):
        written.append(len(done))
        if len(done) < 2:
            raise PermissionError(13, "Access is denied", str(out / "summary.csv"))
        write(out, done, left)

    monkeypatch.setattr(cohort, "_write_summary", refused)
    monkeypatch.setattr(cohort, "register_files", lambda job, title: {})
    table = tmp_path / "m.csv"
    table.write_text("case,fixed,moving\n" + "".join(f"{n},f,m\n" for n in "abc"))
    code, _, err = run(capsys, "batch", table, "--out", tmp_path / "out")
    assert (code, written) == (0, [1, 2, 3])
    assert err.count("cannot be reached (Access is denied)") == 1
    assert len((tmp_path / "out" / "summary.csv").read_text().splitlines()) == 4


def test_cases_of_one_folder_on_other_systems_are_refused(tmp_path):
    for names in (("P01", "p01"), ("a.", "b")):
        table = tmp_path / "m.csv"
        table.write_text("case,fixed,moving\n" + "".join(f"{n},f,m\n" for n in names))
        with pytest.raises(InputError, match="the case"):
            read_manifest(table, "summary.csv")
