"""NIfTI headers that say two things of one image."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

from ElasticHyperRegLib import read_image
from Testing.unit.test_io_volumes import noise, refusal


def with_sform(path: Path, columns: tuple[float, ...], qform: int = 0) -> Path:
    image = nib.Nifti1Image(np.random.default_rng(0).random((5, 6, 7)).astype(np.float32), None)
    image.header.set_zooms((2.0, 2.0, 2.0))
    affine = np.diag([*columns, 1.0])
    image.set_sform(affine, code=1)
    image.header["pixdim"][1:4] = 2.0
    image.header["qform_code"] = qform
    nib.save(image, path)
    return path


def test_a_nifti_of_two_voxel_sizes_is_refused(tmp_path):
    refused = refusal(with_sform(tmp_path / "a.nii.gz", (3.0, 2.0, 2.0)))
    assert "voxels of 2×2×2 mm (pixdim) and of 3×2×2 mm (sform)" in refused
    for columns in ((2.0, 2.0, 2.0), (1.0, 1.0, 1.0), (2.001, 2.0, -2.0)):
        image = read_image(with_sform(tmp_path / "b.nii.gz", columns))
        np.testing.assert_allclose(image.grid.spacing, (2, 2, 2))


def test_a_nifti_in_two_places_is_refused_or_told(tmp_path, caplog):
    path = tmp_path / "a.nii.gz"
    apart = "qform and sform put its voxels up to 60 mm apart"
    for shift, code, told in ((60.0, 1, False), (60.0, 4, True), (0.4, 4, False), (0.0, 1, False)):
        image = nib.Nifti1Image(noise(), None)
        image.set_qform(np.eye(4), code=1)
        image.set_sform(np.eye(4) + shift * np.eye(4, k=3), code=code)
        nib.save(image, path)
        caplog.clear()
        if shift > 1 and not told:
            assert apart in refusal(path)
        else:  # an atlas has its own place
            np.testing.assert_allclose(read_image(path).grid.origin, 0, atol=0.5)
            assert [apart in line for line in caplog.messages] == [True] * told
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[80:84] = struct.pack("<f", -1.0)  # a side below 0, which ITK takes for its size
    (tmp_path / "b.nii").write_bytes(content)
    assert read_image(tmp_path / "b.nii").grid.spacing[0] == 1
