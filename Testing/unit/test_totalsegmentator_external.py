"""The real TotalSegmentator in an environment of its own, with a stand-in for its weights.

Deselected unless ``ELASTIC_HYPERREG_EXTERNAL`` is set: it installs some gigabytes (or uses the
environment that the variable names, instead of ``1``) and computes for minutes. The weights are a
tiny network with random numbers in it, so nothing is said about what is segmented; everything
else is the real program: its command line, nnU-Net, resampling, workers, messages, files.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Grid, Image, InputError
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.segmentation import SegmentOptions, install_program, segment

WANTED = os.environ.get("ELASTIC_HYPERREG_EXTERNAL", "")
CLASSES = ("liver", "lung_upper_lobe_left", "vertebrae_L1")

pytestmark = [
    pytest.mark.external,
    pytest.mark.slow,
    pytest.mark.skipif(
        not WANTED,
        reason="installs TotalSegmentator; set ELASTIC_HYPERREG_EXTERNAL to 1, or to the "
        "environment that it is installed in",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """Its executable, in an environment that this test makes unless one is named."""
    if WANTED != "1":
        return Path(WANTED) / "bin" / "TotalSegmentator"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELASTIC_HYPERREG_HOME", str(tmp_path_factory.mktemp("home")))
        return install_program()


@pytest.fixture(scope="module")
def weights(program, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    script = Path(__file__).with_name("stand_in_weights.py")
    words = [str(program.with_name("python")), str(script), str(folder), *CLASSES]
    subprocess.run(words, check=True, capture_output=True)
    return folder


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ELASTIC_HYPERREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "settings"))
    return tmp_path


@pytest.fixture
def scan(oblique_grid) -> Image:
    """A warm ball in air, some bright spots in it, on an oblique grid."""
    grid: Grid = oblique_grid((30, 32, 34), (5.0, 5.0, 5.0), degrees=10.0)
    k, j, i = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    inside = (k - 15) ** 2 + (j - 16) ** 2 + (i - 17) ** 2 < 13**2
    noise = np.random.default_rng(0).normal(0, 60, grid.shape)
    hu = np.where(inside, 40.0 + noise, -1000.0).astype(np.float32)
    return Image(torch.from_numpy(hu)[None, None], grid, "scan", "int16")


def options(program: Path, **changes) -> SegmentOptions:
    words = {"tissues": "nlst", "fast": True, "device": "cpu", **changes}
    return SegmentOptions("totalsegmentator", program=str(program), **words)


def test_the_real_program_end_to_end(program, weights, settings, scan, monkeypatch):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(weights))
    states: list[tuple[str, float]] = []
    found = segment(scan, options(program), lambda *state: states.append(state))
    assert found.labels.grid.same_as(scan.grid)
    tissues = {found.labels.name_of(n) for n in found.labels.present()}
    assert len(tissues & {"liver", "lung", "bone"}) >= 2
    fractions = [fraction for _, fraction in states]
    assert fractions == sorted(fractions)
    steps = list(dict.fromkeys(step for step, _ in states))
    assert steps == ["looking for the organs", "segmenting", "saving"]
    started = time.monotonic()
    again = segment(scan, options(program))
    assert again.cached
    assert time.monotonic() - started < 5
    assert torch.equal(again.labels.data, found.labels.data)


def test_the_real_program_is_killed(program, weights, settings, scan, monkeypatch):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(weights))
    stop = threading.Event()
    with pytest.raises(Cancelled):
        segment(scan, options(program, cache=False), lambda step, fraction: stop.set(), stop.is_set)
    time.sleep(1)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(program) not in listed.stdout


def test_the_real_program_without_weights_and_network(program, settings, scan, monkeypatch):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(settings / "none"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(InputError, match="the weights 297 are not there and could not be downl"):
        segment(scan, options(program))
