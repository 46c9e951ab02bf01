"""Files of somebody who is not trusted: where they may lead, and how much may come out of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from ElasticHyperRegLib import Grid, Image, InputError, read_image
from ElasticHyperRegLib.io import image_from_array, write_image
from ElasticHyperRegLib.io.integrity import ANYWHERE, Bounds

from .test_io_dicom import stack, write_series

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
SHAPE = (6, 7, 8)
META = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"


@pytest.fixture
def image(oblique_grid: Callable[..., Grid]) -> Image:
    values = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    return image_from_array(values, oblique_grid(SHAPE))


def refusal(path: Path, bounds: Bounds = ANYWHERE) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, bounds)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def home(tmp_path):
    """A folder whose files may be read, beside one whose files may not."""
    for name in ("home", "home/case", "away"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.raw").write_bytes(b"12345678")
    return tmp_path / "home"


@pytest.mark.parametrize("lead", ["{away}/a.raw", "../away/a.raw", "link.raw", "-"])
@pytest.mark.parametrize(
    ("suffix", "header"),
    [
        (".mha", META + "ElementDataFile = {}\n"),
        (".mhd", META + "ElementDataFile = {}\n"),
        (".mha", META + "ElementDataFile: {}\nElementDataFile = LOCAL\n12345678"),
        (".mha", META + "ElementDataFile = LOCAL\nElementDataFile = {}\n12345678"),
        (".mhd", META + "ElementDataFile = LIST\n{}\n{}\n"),
        (".mhd", META + "ElementDataFile = {}%d 1 2 1\n"),
        (".nrrd", NRRD + "data file: {}\n"),
        (".nrrd", NRRD + "DataFile: {}\n\n12345678"),
        (".nhdr", NRRD.replace("\n", "\r") + "datafile: {}\r"),
        (".nhdr", NRRD + "data file: LIST\n{}\n"),
        (".nhdr", NRRD + "data file: {}%d 1 2 1\n"),
    ],
)
def test_voxels_elsewhere_are_out_of_bounds(home, suffix, header, lead):
    (home / "link.raw").symlink_to(home.parent / "away" / "a.raw")
    path = home / f"a{suffix}"
    path.write_text(header.replace("{}", lead.format(away=home.parent / "away")), newline="")
    assert str(path) in refusal(path, Bounds(home))


@pytest.mark.parametrize(
    ("suffix", "header"),
    [(".mhd", META + "ElementDataFile = {}\n"), (".nhdr", NRRD + "data file: {}\n")],
)
@pytest.mark.parametrize("name", ["a.raw", "case/a.raw"])
def test_voxels_in_the_folder_are_within_bounds(home, suffix, header, name):
    (home / f"a{suffix}").write_text(header.format(name))
    image = read_image(home / f"a{suffix}", Bounds(home))
    assert image.data.ravel().tolist() == list(b"12345678")


def test_a_link_to_another_place_is_out_of_bounds(home, image):
    write_image(image, home.parent / "away" / "a.nii.gz")
    (home / "a.nii.gz").symlink_to(home.parent / "away" / "a.nii.gz")
    assert "leads to" in refusal(home / "a.nii.gz", Bounds(home))
    (home / "case" / "1.dcm").symlink_to(home.parent / "away" / "a.raw")
    assert "leads to" in refusal(home / "case", Bounds(home))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_voxels_that_unpack_to_too_much_are_out_of_bounds(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(image, path)
    size = 2 * image.data.numel()
    assert "unpacks" in refusal(path, Bounds(most_bytes=size - 1))
    assert read_image(path, Bounds(tmp_path, size + 400)).grid.same_as(image.grid, 1e-3)


def test_slices_that_unpack_to_too_much_are_out_of_bounds(tmp_path):
    write_series(tmp_path / "ct", stack(5))
    size = 2 * read_image(tmp_path / "ct", Bounds(tmp_path)).data.numel()
    assert "unpacks" in refusal(tmp_path / "ct", Bounds(most_bytes=size - 1))
    assert read_image(tmp_path / "ct", Bounds(most_bytes=size)).grid.shape[0] == 5


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_no_more_is_unpacked_than_may_be(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(image, path)
    zeros = bytes(1 << 24)
    if suffix == ".mha":
        head, mark, _ = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
        path.write_bytes(head + mark + zlib.compress(zeros))
    else:
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + zeros))
    bounds = Bounds(most_bytes=4 * image.data.numel())
    assert "unpacks" in refusal(path, bounds)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_another_format_under_a_known_name_is_refused(tmp_path, suffix, capfd):
    """HDF5 may keep its voxels in any other file."""
    itk = sitk.GetImageFromArray(np.ones(SHAPE, np.float32))
    sitk.WriteImage(itk, str(tmp_path / "a.h5"))
    block = (META + "ElementDataFile = LOCAL\n12345678").encode()
    start = b"" if suffix == ".nrrd" else block.ljust(512)  # where HDF5 looks next
    (tmp_path / f"a{suffix}").write_bytes(start + (tmp_path / "a.h5").read_bytes())
    if suffix == ".mha":
        assert read_image(tmp_path / "a.mha").grid.shape == (2, 2, 2)
    else:
        assert "a.nrrd" in refusal(tmp_path / "a.nrrd")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("given", ["scan.nii.gz", "scan.nii"])
def test_a_file_of_the_same_name_beside_it_is_not_read_in_its_place(tmp_path, image, given):
    other = image_from_array(np.ones(SHAPE, np.int16), image.grid)
    for name in ("scan.nii", "scan.nii.gz"):
        write_image(image if name == given else other, tmp_path / name)
    assert torch.equal(read_image(tmp_path / given).data, image.data)
