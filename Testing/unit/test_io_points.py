"""Landmarks in every format end up in RAS millimetres, or are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.io import read_point_names, read_points, write_points

POINTS = np.array([[10.5, -20.25, 30.0], [1.0, 2.0, -3.0]])
LPS = POINTS * (-1, -1, 1)
coordinates = st.floats(-2000, 2000, allow_nan=False, width=32)
Rows = np.ndarray | Sequence[tuple[float, float, float]]
WRITABLE = (".csv", ".mrk.json", ".fcsv")


def write(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_points(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def vtk(points: np.ndarray, count: int | None = None) -> str:
    rows = "\n".join(" ".join(map(str, p)) for p in points)
    head = "# vtk DataFile Version 3.0\nvtk output\nASCII\nDATASET POLYDATA\n"
    return f"{head}POINTS {count or len(points)} float\n{rows}\n"


def elastix(points: Rows, kind: str = "point", count: int | None = None) -> str:
    rows = "\n".join(" ".join(map(str, p)) for p in points)
    return f"{kind}\n{count or len(points)}\n{rows}\n"


def markups(frame: str, points: Rows, **changes: Any) -> str:
    controls = [{"position": list(p), "positionStatus": "defined"} for p in points]
    markup = {"type": "Fiducial", "coordinateSystem": frame, "controlPoints": controls, **changes}
    return json.dumps({"markups": [markup]})


def fcsv(frame: str, points: np.ndarray) -> str:
    rows = [f"vtk_{n},{p[0]},{p[1]},{p[2]},0,0,0,1,1,1,0,F-{n},," for n, p in enumerate(points)]
    head = "# Markups fiducial file version = 4.10\n"
    return head + (f"# CoordinateSystem = {frame}\n" if frame else "") + "\n".join(rows) + "\n"


@pytest.mark.parametrize("suffix", WRITABLE)
@given(points=arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=coordinates))
def test_points_come_back_as_they_were_written(tmp_path_factory, suffix, points):
    path = tmp_path_factory.mktemp("points") / f"points{suffix}"
    write_points(points, path)
    np.testing.assert_allclose(read_points(path), points, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "R,A,S\n10.5,-20.25,30\n1,2,-3\n"),
        ("bom.csv", "\ufeffname, S, a, R\ntip,30,-20.25,10.5\nbase,-3,2,1\n"),
        ("ras.mrk.json", markups("RAS", POINTS)),
        ("lps.mrk.json", markups("LPS", LPS, coordinateUnits="mm")),
        ("ras.fcsv", fcsv("RAS", POINTS)),
        ("old_ras.fcsv", fcsv("0", POINTS)),
        ("lps.fcsv", fcsv("LPS", LPS)),
        ("old_lps.fcsv", fcsv("1", LPS)),
        ("a.txt", elastix(LPS)),
        ("a.pts", elastix(LPS)),
        ("a.vtk", vtk(LPS)),
    ],
)
def test_every_format_is_read_as_ras(tmp_path, name, text):
    np.testing.assert_allclose(read_points(write(tmp_path, name, text)), POINTS)


@pytest.mark.parametrize("suffix", WRITABLE)
def test_names_of_points_are_kept(tmp_path, suffix):
    names = ("carina", "apex, left", "Häkchen")
    points = np.arange(9.0).reshape(3, 3)
    write_points(points, tmp_path / f"a{suffix}", names)
    assert read_point_names(tmp_path / f"a{suffix}") == names
    np.testing.assert_allclose(read_points(tmp_path / f"a{suffix}"), points)
    write_points(points, tmp_path / f"b{suffix}")
    unnamed = () if suffix == ".csv" else ("P-1", "P-2", "P-3")
    assert read_point_names(tmp_path / f"b{suffix}") == unnamed


def test_names_of_other_formats(tmp_path):
    table = write(tmp_path, "a.csv", "name, S, a, R\ntip,30,-20.25,10.5\nbase,-3,2,1\n")
    assert read_point_names(table) == ("tip", "base")
    assert read_point_names(write(tmp_path, "a.vtk", vtk(LPS))) == ()


def test_slicer_finds_written_markups_in_lps(tmp_path):
    write_points(POINTS, tmp_path / "a.mrk.json")
    markup = json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]
    assert markup["coordinateSystem"] == "LPS"
    assert markup["controlPoints"][0]["position"] == [-10.5, 20.25, 30.0]


def test_elastix_indices_need_a_grid(tmp_path, oblique_grid):
    grid = oblique_grid()
    path = write(tmp_path, "a.txt", elastix([(0, 0, 0), (3, 2, 1)], kind="index"))
    expected = [grid.origin, (grid.ijk_to_ras @ (3, 2, 1, 1))[:3]]
    np.testing.assert_allclose(read_points(path, grid), expected)
    assert "voxel indices" in refusal(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "x,y,z\n1,2,3\n", "columns R,A,S"),
        ("a.csv", "R,A,S\n", "holds no points"),
        ("a.csv", "R,A,S\n1,2,3\n1,2\n", "'1,2,' for point 2"),
        ("a.csv", "R,A,S\n1,2,x\n", "'1,2,x' for point 1"),
        ("a.csv", "R,A,S\n1,2,nan\n", "NaN"),
        ("a.mrk.json", "{", "cannot be read as points"),
        ("a.mrk.json", "{}", "cannot be read as points"),
        ("a.mrk.json", markups("IJK", POINTS), "coordinate system IJK"),
        ("a.mrk.json", markups("RAS", POINTS, coordinateUnits="um"), "coordinates in um"),
        ("a.mrk.json", markups("RAS", []), "holds no points"),
        ("a.fcsv", fcsv("", POINTS), "(not named)"),
        ("a.fcsv", fcsv("2", POINTS), "coordinate system 2"),
        ("a.txt", "1 2 3\n", "'point' or 'index'"),
        ("a.txt", elastix(LPS, count=5), "2 points where 5"),
        ("a.vtk", vtk(LPS, count=5), "2 points where 5"),
        ("a.vtk", "# vtk DataFile Version 3.0\nx\nBINARY\nDATASET POLYDATA\n", "another kind"),
        ("a.vtk", "hello", "no VTK file"),
        ("a.xml", "<a/>", "convert it first"),
        ("a.csv", "", "is empty"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, text, words):
    assert words in refusal(write(tmp_path, name, text))


def test_unplaced_and_doubled_markups_are_refused(tmp_path):
    unplaced = json.loads(markups("RAS", POINTS))
    for status in ("undefined", "preview", "missing"):
        unplaced["markups"][0]["controlPoints"][1]["positionStatus"] = status
        path = write(tmp_path, f"{status}.mrk.json", json.dumps(unplaced))
        assert "1 points without a position" in refusal(path)
    doubled = {"markups": json.loads(markups("RAS", POINTS))["markups"] * 2}
    path = write(tmp_path, "b.mrk.json", json.dumps(doubled))
    assert "2 point lists" in refusal(path)


def test_binary_rubbish_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(128, 256)))
    assert "is not in UTF-8" in refusal(tmp_path / "a.csv")


def test_only_lists_of_points_are_written(tmp_path):
    with pytest.raises(InputError, match=r"\(P, 3\)"):
        write_points(np.zeros((4, 2)), tmp_path / "a.csv")
    with pytest.raises(InputError, match="convert"):
        write_points(POINTS, tmp_path / "a.vtk")


@pytest.mark.shared_data
def test_real_landmarks_lie_inside_their_image(shared_data):
    """Liver landmarks come as LPS; in RAS they must fall inside the image they belong to."""
    from ElasticHyperRegLib import read_image

    folder = shared_data / "liver_mr" / "dataset19"
    grid = read_image(folder / "exhMaster_unmasked.force_direction.mha").grid
    points = read_points(folder / "exhMasterLMliver.vtk")
    assert points.shape == (36, 3)
    voxels = points @ grid.ras_to_ijk[:3, :3].T + grid.ras_to_ijk[:3, 3]
    assert (voxels >= 0).all()
    assert (voxels <= np.array(grid.size) - 1).all()


def test_endless_markups_are_refused(tmp_path):
    (tmp_path / "p.mrk.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot be read as points"):
        read_points(tmp_path / "p.mrk.json")


def test_a_pipe_is_no_file(tmp_path):
    with pytest.raises(InputError, match="a device or a pipe; expected one file"):
        read_points("/dev/null")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "label,r,a,s,defined\nF-1,1,2,3,1\nF-2,0,0,0,0\n"),
        ("a.fcsv", fcsv("RAS", POINTS).replace("F-1,,", "F-1,,,0,0")),
        ("a.fcsv", fcsv("RAS", POINTS).replace("F-1,,", "F-1,,,3,0")),
    ],
)
def test_points_that_slicer_has_not_placed_are_refused(tmp_path, name, text):
    assert "1 points without a position" in refusal(write(tmp_path, name, text))
    placed = (
        text.replace("0,0,0,0\n", "4,5,6,1\n")
        .replace("F-1,,,0,0", "F-1,,,2,0")
        .replace("F-1,,,3,0", "F-1,,,2,0")
    )
    assert len(read_points(write(tmp_path, name, placed))) == 2


def test_vtk_points_may_say_that_they_are_ras(tmp_path):
    text = vtk(POINTS).replace("vtk output", "3D Slicer output. SPACE=RAS")
    np.testing.assert_allclose(read_points(write(tmp_path, "a.vtk", text)), POINTS)
