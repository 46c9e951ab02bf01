"""What may be opened: archives, the data folder, uploads."""

from __future__ import annotations

import asyncio
import struct
import tempfile
import threading
import zipfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib.alignment import KINDS
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import write_image
from ElasticHyperRegLib.types import Grid, Image

pytest.importorskip("trame_slicer", reason="the extra app is not installed")

from web.archives import unpack
from web.folder import DataFolder
from web.inputs import Inputs
from web.options import ALIGNMENTS, PageOptions
from web.page import Page
from web.state import DEFAULTS

from ..unit.test_io_dicom import stack, write_series

MIB = 1 << 20
META = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"


@pytest.fixture(autouse=True)
def tidy(tmp_path, monkeypatch):
    """Uploads go where pytest clears up."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def zipped(tmp_path):
    """Factory of archives: ``zipped({name: content})``."""

    def make(files, method=zipfile.ZIP_DEFLATED):
        path = tmp_path / "made.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return make


def test_archive_is_unpacked_flat_without_litter(zipped, tmp_path):
    path = zipped({"a/1": b"one", "a/b/2": b"two", "__MACOSX/a/._1": b"", "a/.DS_Store": b""})
    folder = unpack(path, tmp_path / "out", MIB)
    assert [p.read_bytes() for p in sorted(folder.iterdir())] == [b"one", b"two"]


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/x", "..\\out", "C:\\x", "."])
def test_names_that_lead_out_are_refused(zipped, tmp_path, name):
    with pytest.raises(InputError, match="names inside"):
        unpack(zipped({name: b"x"}), tmp_path / "out", MIB)
    assert not (tmp_path / "out").exists()


def test_links_are_refused(zipped, tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(InputError, match="plain file"):
        unpack(zipped({link: b"/etc/passwd"}), tmp_path / "out", MIB)


def test_bombs_are_refused(zipped, tmp_path):
    bomb = zipped({"zeros": bytes(8 * MIB)})
    with pytest.raises(InputError, match="times its size"):
        unpack(bomb, tmp_path / "out", 100 * MIB)
    with pytest.raises(InputError, match="at most"):
        unpack(bomb, tmp_path / "out", MIB)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_would_come_out_in_one_piece_is_refused(zipped, tmp_path, method):
    with pytest.raises(InputError, match="unusual"):
        unpack(zipped({"a": b"x"}, method), tmp_path / "out", MIB)


def test_a_name_that_is_no_text_is_refused(zipped, tmp_path):
    path = zipped({"\u00e9": b"x"})
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with pytest.raises(InputError, match="cannot be read"):
        unpack(path, tmp_path / "out", MIB)


def test_sizes_that_lie_are_refused(zipped, tmp_path):
    path = zipped({"zeros": bytes(3 * MIB)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24  # uncompressed size in the table of contents
    data[at : at + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    with pytest.raises(InputError):
        unpack(path, tmp_path / "out", MIB)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(InputError):
        unpack(path, tmp_path / "out", MIB)


@pytest.fixture
def folder(tmp_path):
    """A data folder with a volume, a series, and links that lead out of it."""
    root, outside = tmp_path / "data", tmp_path / "outside"
    (root / "case" / "series").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.nii.gz").touch()
    (root / "case" / "ct.nii.gz").touch()
    (root / "case" / "series" / "1.dcm").touch()
    (root / "notes.txt").touch()
    (root / "link.nii.gz").symlink_to(outside / "secret.nii.gz")
    (root / "away").symlink_to(outside)
    return root


def test_data_folder_lists_volumes_and_series(folder):
    assert DataFolder(folder).names() == ["case/ct.nii.gz", "case/series"]


def test_series_without_suffixes_are_listed(folder):
    (folder / "media").mkdir()
    (folder / "media" / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(10))
    (folder / "media" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (folder / "text").mkdir()
    (folder / "text" / "LICENSE").write_text("no scan")
    assert DataFolder(folder).names() == ["case/ct.nii.gz", "case/series", "media"]


def test_a_name_that_no_page_can_show_hides_no_other(folder):
    with open(bytes(folder) + b"/M\xfcller.nii.gz", "wb"):
        assert DataFolder(folder).names() == ["case/ct.nii.gz", "case/series"]


def test_a_circle_of_links_hides_no_other(folder):
    (folder / "circle.nii").symlink_to(folder / "circle.nii")
    chosen = DataFolder(folder)
    assert "circle.nii" not in chosen.names() and chosen.names()
    with pytest.raises(InputError, match="a name from the list"):
        chosen.path("circle.nii")


def test_a_large_data_folder_holds_nothing_up_and_says_so(folder, monkeypatch):
    for name in ("web.folder.MOST_ENTRIES", "web.page.MOST_ENTRIES"):
        monkeypatch.setattr(name, 2)
    threads: list[threading.Thread] = []
    said: list[str] = []
    names = DataFolder.names

    def noted(self):
        threads.append(threading.current_thread())
        return names(self)

    monkeypatch.setattr(DataFolder, "names", noted)
    state = SimpleNamespace()
    page: Any = SimpleNamespace(
        inputs=SimpleNamespace(folder=DataFolder(folder)),
        _state=nullcontext(state),
        _live=SimpleNamespace(say=said.append),
    )
    asyncio.run(Page._list_folder(page))
    assert state.data_names == ["case/ct.nii.gz", "case/series"]
    assert threads != [threading.main_thread()]
    assert "only the first 2" in said[0]


def test_names_of_the_data_folder_are_found(folder):
    assert DataFolder(folder).path("case/ct.nii.gz") == folder / "case" / "ct.nii.gz"


@pytest.mark.parametrize(
    "name",
    [
        "../outside/secret.nii.gz",
        "case/../../outside/secret.nii.gz",
        "link.nii.gz",
        "away/secret.nii.gz",
        "/etc/passwd",
        "missing.nii.gz",
        "case/ct.nii.gz\0",
        "x" * 300,
    ],
)
def test_nothing_outside_the_data_folder_is_opened(folder, name):
    with pytest.raises(InputError, match="--data"):
        DataFolder(folder).path(name)


def upload(inputs: Inputs, role: str, name: str, content: bytes) -> None:
    with inputs.incoming(name) as path:
        path.write_bytes(content)
        inputs.take(role, path, name)


def test_upload_is_read_and_removed(tmp_path):
    grid = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0))
    write_image(Image(torch.rand(1, 1, 4, 5, 6), grid), tmp_path / "x.nii.gz")
    inputs = Inputs(PageOptions())
    upload(inputs, "fixed", "Inhale.NII.GZ", (tmp_path / "x.nii.gz").read_bytes())
    given = inputs.given["fixed"]
    assert (given.name, given.content.grid.shape) == ("Inhale.NII.GZ", (4, 5, 6))
    assert list(Path(inputs._place).iterdir()) == []


def test_labels_go_with_the_scan_that_they_were_opened_with(tmp_path):
    grid = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0))
    path = tmp_path / "x.nii.gz"
    write_image(Image(torch.eye(5, 6, dtype=torch.int16).expand(1, 1, 4, 5, 6), grid), path)
    inputs = Inputs(PageOptions(data=tmp_path))
    for role in ("fixed_labels", "moving_labels", "fixed", "moving"):
        inputs.take(role, path, role)
    assert set(inputs.given) == {"fixed", "moving", "fixed_labels", "moving_labels"}
    inputs.opened()
    inputs.take("fixed", path, "the next patient")
    assert set(inputs.given) == {"fixed", "moving", "moving_labels"}
    inputs.take("moving_labels", path, "new labels")
    inputs.take("moving", path, "the next patient")
    assert inputs.given["moving_labels"].name == "new labels"


def test_a_file_of_the_folder_is_told_by_its_name_once(folder):
    inputs = Inputs(PageOptions(data=folder))
    with pytest.raises(InputError, match=r"^case/ct\.nii\.gz") as caught:
        inputs.take("fixed", inputs.in_folder("case/ct.nii.gz"), "case/ct.nii.gz")
    assert "case/case" not in str(caught.value)


def test_broken_upload_is_told_by_the_name_that_the_user_knows():
    inputs = Inputs(PageOptions())
    with pytest.raises(InputError) as caught:
        upload(inputs, "moving", "mine.nrrd", b"no volume")
    assert "mine.nrrd" in str(caught.value)
    assert "upload" not in str(caught.value)
    assert str(inputs._place) not in str(caught.value)
    assert inputs.given == {}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("mine.mha", META + "ElementDataFile = {}\n"),
        ("mine.mha", META + "ElementDataFile: {}\nElementDataFile = LOCAL\n12345678"),
        ("mine.nrrd", NRRD + "data file: {}\n"),
        ("mine.nrrd", NRRD + "datafile: {}\n\n12345678"),
    ],
)
def test_an_upload_reads_no_file_of_the_server(tmp_path, name, header):
    (tmp_path / "secret").write_bytes(b"abcdefgh")
    inputs = Inputs(PageOptions())
    with pytest.raises(InputError, match=name):
        upload(inputs, "fixed", name, header.format(tmp_path / "secret").encode())
    assert inputs.given == {}


@pytest.mark.parametrize(
    ("name", "header"),
    [("a.mhd", META + "ElementDataFile = {}\n"), ("a.nhdr", NRRD + "data file: {}\n")],
)
def test_headers_of_the_data_folder_read_no_file_outside(tmp_path, folder, name, header):
    inputs, chosen = Inputs(PageOptions(data=folder)), DataFolder(folder)
    for place, leads in ((folder / "case", False), (tmp_path / "outside", True)):
        (place / "voxels.raw").write_bytes(b"abcdefgh")
        (folder / name).write_text(header.format(place / "voxels.raw"))
        if leads:
            with pytest.raises(InputError, match="voxels in the file itself or beside it"):
                inputs.take("fixed", chosen.path(name), name)
        else:
            found = inputs.take("fixed", chosen.path(name), name).content
            assert found.data.ravel().tolist() == list(b"abcdefgh")


def test_files_of_the_command_line_may_lead_anywhere(tmp_path):
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "voxels.raw").write_bytes(b"abcdefgh")
    path = tmp_path / "a.mhd"
    path.write_text(META + "ElementDataFile = away/voxels.raw\n")
    Inputs(PageOptions(upload_mib=0)).take("fixed", path, "a.mhd")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_an_upload_that_unpacks_to_too_much_is_refused(tmp_path, suffix):
    zeros = sitk.GetImageFromArray(np.zeros((128, 128, 128), np.uint8))
    sitk.WriteImage(zeros, str(tmp_path / f"x{suffix}"), useCompression=True)
    packed = (tmp_path / f"x{suffix}").read_bytes()
    assert len(packed) < MIB
    with pytest.raises(InputError, match="unpacks to 2 MiB or more; expected at most 1 MiB"):
        upload(Inputs(PageOptions(upload_mib=1)), "fixed_labels", f"x{suffix}", packed)


def test_an_archive_is_unpacked_into_the_sessions_folder_alone(tmp_path):
    scans = tmp_path / "scans"
    write_series(scans, stack(5))
    with zipfile.ZipFile(scans / "A.ZIP", "w") as archive:
        for path in scans.glob("*.dcm"):
            archive.write(path, path.name)
            path.unlink()
    inputs = Inputs(PageOptions())
    for role in ("fixed", "moving"):
        assert inputs.take(role, scans / "A.ZIP", "A.ZIP").content.grid.shape[0] == 5
    assert [path.name for path in scans.iterdir()] == ["A.ZIP"]
    assert list(inputs._place.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(zipped):
    path = zipped({"a": b"x"})
    inputs = Inputs(PageOptions())
    inputs._place.rmdir()
    with pytest.raises(InputError, match=r"a.zip cannot be read here \(No such file"):
        inputs.take("fixed", path, "a.zip")


@pytest.mark.parametrize("name", ["x.exe", "nii.gz.txt", "", "x.gz"])
def test_other_kinds_of_files_are_refused(name):
    with pytest.raises(InputError, match="NIfTI"), Inputs(PageOptions()).incoming(name):
        pass


def test_no_state_of_the_page_hides_a_part_of_trames_state():
    trame_state = pytest.importorskip("trame_server.state").State
    assert [name for name in DEFAULTS if hasattr(trame_state, name)] == []


def test_a_pair_may_be_aligned_in_every_way():
    assert ALIGNMENTS == KINDS
