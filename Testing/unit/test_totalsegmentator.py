"""TotalSegmentator as a program of its own: everything around it, with an executable that pretends.

The real program is run by test_totalsegmentator_external.py.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, Image, InputError, LabelMap
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.segmentation import (
    SegmentOptions,
    cache,
    find_program,
    private_folder,
    segment,
)
from ElasticHyperRegLib.segmentation.messages import explain
from ElasticHyperRegLib.segmentation.process import clean_environment, run_program
from ElasticHyperRegLib.segmentation.program import SCRIPT
from ElasticHyperRegLib.segmentation.progress import ROUGH_SHARE, SAVING, ProgressReader
from Testing.unit.pretend_totalsegmentator import write_program

MESSAGES = {
    "memory": "ran out of memory; use --fast, crop",
    "killed": "ran out of memory; use --fast, crop",
    "gpu-memory": "the GPU ran out of memory; use --fast, or --device cpu",
    "licence": "needs a licence.*totalseg_set_license",
    "network": "weights 291 are not there and could not be downloaded.*totalseg_import_weights",
    "weights": "weights are missing or incomplete; delete them",
    "disk": "the disk is full",
    "broken": "installation is broken.*--install",
    "old": "does not know an option.*update it",
    "locked": "may not write.*TOTALSEG_HOME_DIR",
    "unknown": r"status 1: ValueError: something new; read its output in .*\.log",
    "silent": "wrote no labels",
    "moved": "TotalSegmentator answered with Grid.*expected the grid of scan",
}


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    for name in ("CACHE", "HOME"):
        monkeypatch.setenv(f"ELASTIC_HYPERREG_{name}", str(tmp_path / name.lower()))
    monkeypatch.delenv("ELASTIC_HYPERREG_TOTALSEGMENTATOR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def program(tmp_path) -> Path:
    return write_program(tmp_path)


@pytest.fixture
def scan(oblique_grid) -> Image:
    """A warm ball with a bright core in air, on an oblique grid."""
    grid: Grid = oblique_grid((24, 26, 28), (4.0, 4.0, 5.0), degrees=10.0)
    k, j, i = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    radius = np.sqrt((k - 12.0) ** 2 + (j - 13.0) ** 2 + (i - 14.0) ** 2)
    hu = np.where(radius < 4, 200.0, np.where(radius < 10, 40.0, -1000.0)).astype(np.float32)
    return Image(torch.from_numpy(hu)[None, None], grid, "scan", "int16")


def options(program: Path, **changes) -> SegmentOptions:
    words = {"tissues": "abdomen-ct", "program": str(program), **changes}
    return SegmentOptions(backend="totalsegmentator", **words)


def noted(program: Path) -> dict[str, Any]:
    return json.loads(program.with_suffix(".json").read_text())


def test_classes_become_tissues_and_the_body_its_rest(program, scan):
    found = segment(scan, options(program))
    values = found.labels.data
    assert found.labels.grid.same_as(scan.grid)
    assert [found.labels.name_of(n) for n in found.labels.present()] == [
        "background",
        "soft_tissue",
        "liver",
    ]
    assert torch.equal(values == 2, scan.data > 100)
    assert float(((values > 0) == (scan.data > -500)).float().mean()) > 0.99
    assert any("without a class of their own became soft_tissue" in note for note in found.notes)


def test_it_is_asked_for_what_the_scheme_needs(program, scan):
    segment(scan, options(program, tissues="nlst", fast=True, device="cuda:1"))
    words = noted(program)["words"]
    assert {"--ml", "--fast"} < set(words)
    assert words[words.index("--task") + 1] == "total"
    assert words[words.index("--device") + 1] == "gpu:1"
    subset = words[words.index("--roi_subset") + 1 : words.index("--device")]
    assert len(subset) == 25 + 24 + 1 + 5 + 1  # vertebrae, ribs, sternum, lobes, liver
    assert {"liver", "rib_left_1", "vertebrae_C1", "sternum", "lung_upper_lobe_left"} < set(subset)


def test_all_classes_and_mr(program, scan, monkeypatch):
    found = segment(scan, options(program, tissues="none", device="cpu"))
    words = noted(program)["words"]
    assert "--roi_subset" not in words
    assert words[words.index("--device") + 1] == "cpu"
    assert [found.labels.name_of(n) for n in found.labels.present()] == ["0", "liver"]
    bright = Image((scan.data > -500).float() * 100 + scan.data.clamp(0), scan.grid, "mr")
    found = segment(bright, options(program, tissues="abdomen-mr"))
    assert noted(program)["words"][6:8] == ["total_mr", "--roi_subset"]
    assert "liver" in [found.labels.name_of(n) for n in found.labels.present()]
    assert float(((found.labels.data > 0) == (bright.data > 50)).float().mean()) > 0.98


def test_the_second_time_is_instant(program, scan, monkeypatch):
    first = segment(scan, options(program))
    renamed = Image(scan.data.clone(), scan.grid, "another name")
    again = segment(renamed, options(program))
    assert (first.cached, again.cached, noted(program)["runs"]) == (False, True, 1)
    assert torch.equal(first.labels.data, again.labels.data)
    segment(scan, options(program, fast=True))
    segment(Image(scan.data + 1, scan.grid, "scan"), options(program))
    moved = scan.grid.ijk_to_ras.copy()
    moved[0, 3] += 1
    segment(Image(scan.data, Grid(scan.grid.shape, moved), "scan"), options(program))
    segment(scan, options(program, cache=False))
    assert noted(program)["runs"] == 5
    os.utime(program, (1, 1))  # another version was installed
    assert not segment(scan, options(program)).cached


def test_a_damaged_answer_is_made_again(program, scan, tmp_path):
    segment(scan, options(program))
    kept = list((tmp_path / "cache").rglob("*.nii.gz"))
    assert len(kept) == 1
    kept[0].write_bytes(kept[0].read_bytes()[:50])
    assert not segment(scan, options(program)).cached
    assert segment(scan, options(program)).cached
    assert sorted((tmp_path / "cache").rglob("*.nii.gz")) == kept


def test_a_cache_that_cannot_be_written_costs_only_the_next_time(program, scan, monkeypatch):
    monkeypatch.setenv("ELASTIC_HYPERREG_CACHE", str(program))
    found = segment(scan, options(program))
    assert any("was not kept for the next time" in note for note in found.notes)


@pytest.mark.parametrize("ending", MESSAGES)
def test_its_errors_are_told_in_one_line(program, scan, monkeypatch, ending):
    monkeypatch.setenv("PRETEND", ending)
    with pytest.raises(InputError, match=MESSAGES[ending]) as caught:
        segment(scan, options(program))
    assert "\n" not in str(caught.value)


def test_it_finds_nothing(program, scan, monkeypatch):
    monkeypatch.setenv("PRETEND", "nothing")
    with pytest.raises(InputError, match="scan: TotalSegmentator found none of the classes"):
        segment(scan, options(program))


def test_a_gpu_that_is_not_there(program, scan, monkeypatch):
    monkeypatch.setenv("PRETEND", "no-gpu")
    found = segment(scan, options(program, cache=False))
    assert "TotalSegmentator found no GPU and ran on the processor" in found.notes
    with pytest.raises(InputError, match="the device 'cuda' where TotalSegmentator finds no such"):
        segment(scan, options(program, cache=False, device="cuda"))
    with pytest.raises(InputError, match="the device 'gpu'; expected auto, cpu, cuda or cuda:N"):
        segment(scan, options(program, device="gpu"))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.is_file() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_cancel_kills_the_whole_tree(program, scan, monkeypatch):
    monkeypatch.setenv("PRETEND", "hang")
    stop = threading.Event()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        segment(
            scan,
            options(program),
            lambda step, fraction: stop.set(),
            lambda: stop.is_set() and "child" in noted(program),
        )
    assert time.monotonic() - started < 30
    deadline = time.monotonic() + 5
    while alive(noted(program)["child"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(noted(program)["child"])


def test_progress_only_rises_and_says_what_is_done(program, scan):
    states: list[tuple[str, float]] = []
    segment(scan, options(program), lambda *state: states.append(state))
    fractions = [fraction for _, fraction in states]
    assert fractions == sorted(fractions)
    steps = list(dict.fromkeys(step for step, _ in states))
    assert steps == [
        "looking for the organs",
        "segmenting, part 1 of 2",
        "segmenting, part 2 of 2",
        "saving",
    ]
    halves = [f for step, f in states if step == "segmenting, part 1 of 2"]
    assert halves == pytest.approx([ROUGH_SHARE, *(ROUGH_SHARE + (SAVING - ROUGH_SHARE) * n / 4
                                                   for n in (1, 2))])  # fmt: skip


def test_progress_of_a_download():
    reader = ProgressReader()
    assert reader.read("Downloading model for Task 297 ...") == ("downloading the weights 297", 0.0)
    assert reader.read("Downloading:  45%|####5     | 61M/135M [00:10<00:12]") == (
        "downloading the weights 297: 45 %",
        0.0,
    )
    assert reader.read("Download finished. Extracting...") is None
    assert reader.read("Predicting...") == ("segmenting", 0.0)
    assert reader.read(" 50%|#####     | 5/10 [00:10<00:12]") == ("segmenting", SAVING / 2)


def test_nothing_of_ours_or_of_slicer_reaches_its_python(program, scan, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    segment(scan, options(program))
    assert noted(program)["python"] is None
    given = {"SLICER_HOME": "/slicer", "LD_LIBRARY_PATH": f"/slicer/lib{os.pathsep}/usr/lib"}
    cleaned = clean_environment({**given, "PYTHONHOME": "/slicer", "HOME": "/me"})
    assert cleaned["LD_LIBRARY_PATH"] == "/usr/lib"
    assert cleaned["HOME"] == "/me"
    assert "PYTHONHOME" not in cleaned


def test_where_it_is_looked_for(tmp_path, monkeypatch):
    """Chosen, variable, our own environment, PATH, 3D Slicer: each hides those after it."""
    slicer = tmp_path / "slicer"
    for folder in (
        "slicer/bin",
        "slicer/lib/Python/bin",
        "path",
        "mine",
        "home/totalsegmentator/bin",
    ):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(InputError, match="not installed.*--install.*--backend threshold"):
        find_program()
    python = write_program(slicer / "bin").rename(slicer / "bin" / "PythonSlicer")
    script = write_program(slicer / "lib" / "Python" / "bin")
    monkeypatch.setenv("SLICER_HOME", str(slicer))
    assert find_program().command == (str(python), str(script))
    on_path = write_program(tmp_path / "path")
    assert find_program().command == (str(on_path),)
    own = write_program(private_folder() / "bin")
    assert find_program().command == (str(on_path),)  # not installed completely
    (private_folder() / ".complete").touch()
    assert find_program().command == (str(own),)
    mine = write_program(tmp_path / "mine")
    monkeypatch.setenv("ELASTIC_HYPERREG_TOTALSEGMENTATOR", str(tmp_path / "mine"))
    assert find_program().command == (str(mine),)
    assert find_program(str(on_path)).command == (str(on_path),)
    with pytest.raises(InputError, match="--program /nowhere; expected TotalSegmentator's exec"):
        find_program("/nowhere")


def test_a_program_that_cannot_be_started(tmp_path, scan):
    path = tmp_path / SCRIPT
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(InputError, match="cannot be started"):
        segment(scan, options(path))


@pytest.mark.parametrize("tissues", [None, "cardiac-mr"])
def test_it_needs_a_scheme_of_its_classes(program, scan, tissues):
    with pytest.raises(InputError, match="abdomen-ct, abdomen-mr, nlst, thorax-ct"):
        segment(scan, options(program, tissues=tissues))


def test_explanations_of_what_other_versions_say():
    assert "weights are missing" in str(explain(1, ["dataset_id 297 not found"]))
    assert "it said nothing" in str(explain(3, []))
    assert "ran out of memory" in str(explain(137, ["Predicting..."]))


def test_lines_of_a_program_come_whole(tmp_path):
    script = tmp_path / "talk"
    script.write_text(
        "#!/bin/sh\nprintf 'one\\rtwo\\n\\nthr'; sleep 0.2; printf 'ee\\nfour'; exit 4\n"
    )
    script.chmod(0o755)
    heard: list[str] = []
    assert run_program([str(script)], heard.append) == (4, heard)
    assert heard == ["one", "two", "three", "four"]


def test_an_answer_of_other_classes_is_not_taken(program, scan):
    assert not segment(scan, options(program, tissues="nlst")).cached
    assert not segment(scan, options(program, tissues="abdomen-ct")).cached


def test_the_answers_used_least_go_first(scan, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 2)
    labels = LabelMap((scan.data > 0).int(), scan.grid)
    for second, key in enumerate(("a", "b")):
        cache.keep_answer(key, labels)
        os.utime(cache._path(key), (second, second))
    assert cache.cached_answer("a") is not None
    cache.keep_answer("c", labels)
    assert [key for key in "abc" if cache._path(key).exists()] == ["a", "c"]


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(program, scan, monkeypatch):
    def full(key, labels):
        raise InputError("no space left")

    monkeypatch.setattr("ElasticHyperRegLib.segmentation.total.keep_answer", full)
    found = segment(scan, options(program))
    assert any("was not kept for the next time" in note for note in found.notes)
