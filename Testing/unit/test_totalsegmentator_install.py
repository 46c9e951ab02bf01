"""``--install``: an environment of its own, from a wheel that is TotalSegmentator by name only."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.segmentation import find_program, install_program, private_folder
from ElasticHyperRegLib.segmentation import install as module

NAME = "totalsegmentator-9.9"
WHEEL = {
    "totalsegmentator/__init__.py": "",
    "totalsegmentator/python_api.py": "",
    "totalsegmentator/run.py": "def main():\n    pass\n",
    f"{NAME}.dist-info/METADATA": "Metadata-Version: 2.1\nName: TotalSegmentator\nVersion: 9.9\n",
    f"{NAME}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
    "Tag: py3-none-any\n",
    f"{NAME}.dist-info/entry_points.txt": "[console_scripts]\n"
    "TotalSegmentator = totalsegmentator.run:main\n",
    f"{NAME}.dist-info/RECORD": "",
}


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch) -> Path:
    """pip that takes packages from an empty folder only."""
    monkeypatch.setenv("ELASTIC_HYPERREG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ELASTIC_HYPERREG_TOTALSEGMENTATOR", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


@pytest.mark.slow
def test_it_is_installed_and_found(offline):
    with pytest.raises(InputError, match="could not make its packages: ERROR: No matching distr"):
        install_program()
    assert not private_folder().exists()
    with zipfile.ZipFile(offline / f"{NAME}-py3-none-any.whl", "w") as wheel:
        for name, content in WHEEL.items():
            wheel.writestr(name, content)
    states: list[tuple[str, float]] = []
    program = install_program(lambda *state: states.append(state))
    assert program.is_file()
    assert find_program().command == (str(program),)
    assert Path(sys.prefix) not in program.parents
    assert states[-1] == ("installed", 1.0)
    assert [fraction for _, fraction in states] == sorted(fraction for _, fraction in states)


def test_a_stopped_installation_leaves_nothing():
    with pytest.raises(Cancelled):
        install_program(cancelled=lambda: True)
    assert not private_folder().exists()


def test_too_little_space_is_told_before_anything_begins(monkeypatch):
    monkeypatch.setattr(module, "NEEDED_GIB", 10**9)
    with pytest.raises(InputError, match="GiB for TotalSegmentator; free some space"):
        install_program()
    assert not private_folder().exists()
