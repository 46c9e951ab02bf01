"""What may be opened: archives, the data folder, uploads."""

from __future__ import annotations

import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch

from ElasticHyperRegLib.alignment import KINDS
from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import write_image
from ElasticHyperRegLib.types import Grid, Image

pytest.importorskip("trame_slicer", reason="the extra app is not installed")

from ElasticHyperRegLib.estimation.surface import Surface
from ElasticHyperRegLib.types import Elasticity
from web.archives import unpack
from web.folder import DataFolder
from web.inputs import Inputs
from web.logic.estimate import heat_map
from web.options import ALIGNMENTS, PageOptions
from web.state import DEFAULTS

MIB = 1 << 20


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


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/x", "..\\out", "C:\\x"])
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


def test_broken_upload_is_told_by_the_name_that_the_user_knows():
    inputs = Inputs(PageOptions())
    with pytest.raises(InputError) as caught:
        upload(inputs, "moving", "mine.nrrd", b"no volume")
    assert "mine.nrrd" in str(caught.value)
    assert "upload" not in str(caught.value)
    assert str(inputs._place) not in str(caught.value)
    assert inputs.given == {}


@pytest.mark.parametrize("name", ["x.exe", "nii.gz.txt", "", "x.gz"])
def test_other_kinds_of_files_are_refused(name):
    with pytest.raises(InputError, match="NIfTI"), Inputs(PageOptions()).incoming(name):
        pass


def test_no_state_of_the_page_hides_a_part_of_trames_state():
    trame_state = pytest.importorskip("trame_server.state").State
    assert [name for name in DEFAULTS if hasattr(trame_state, name)] == []


def test_heat_map_shows_the_nearest_score_everywhere():
    settings = (Elasticity(0, 0), Elasticity(0, 1), Elasticity(1, 0))
    surface = Surface("lung", "held", settings, (0.1, 0.4, 0.25), settings[1], 0.01)
    drawn = heat_map(surface)
    colors = {(round(c["lam"], 3), round(c["mu"], 3)): c["color"] for c in drawn["cells"]}
    assert all(lam + mu <= 1 + 1e-9 for lam, mu in colors)
    assert colors[0, 0] == colors[0.25, 0.25] == "#440154"
    assert colors[0, 1] == colors[0.25, 0.75] == "#fde725"
    assert colors[1, 0] not in (colors[0, 0], colors[0, 1])
    assert (drawn["low"], drawn["high"], drawn["mu"]) == ("0.100", "0.400", 1)
    assert len(drawn["tried"]) == 3


def test_a_pair_may_be_aligned_in_every_way():
    assert ALIGNMENTS == KINDS
