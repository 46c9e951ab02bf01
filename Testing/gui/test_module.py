"""The module's file, its lists for CMake, its ``.ui``, its installation (Qt stand-in)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import SkipTest

import pytest

from ElasticHyperRegLib.tissues import load_scheme
from scripts import cmake_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "ElasticHyperReg"
UI = MODULE / "Resources" / "UI" / "ElasticHyperReg.ui"


@pytest.mark.parametrize("path", list(cmake_files.lists()), ids=lambda path: path.name)
def test_cmake_lists_every_file(path):
    assert path.read_text("utf-8") == cmake_files.lists()[path], "run scripts/cmake_files.py"


def test_catalogue_entry_agrees_with_cmake():
    entry = json.loads((ROOT / "ElasticHyperReg.json").read_text("utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text("utf-8")
    told = dict(re.findall(r"set\(EXTENSION_(\w+) \"([^\"]*)\"\)", cmake))
    assert entry["category"] == told["CATEGORY"] == "Registration"
    assert entry["build_dependencies"] == told["DEPENDS"].split()
    assert entry["scm_url"] == told["HOMEPAGE"] + ".git"
    for url in (told["ICONURL"], *told["SCREENSHOTURLS"].split()):
        assert (ROOT / url.partition("/main/")[2]).is_file()


def test_every_mrml_selector_gets_the_scene():
    tree = ElementTree.parse(UI)
    selectors = {
        w.get("name") for w in tree.iter("widget") if w.get("class") == "qMRMLNodeComboBox"
    }
    connected = {
        connection.findtext("receiver")
        for connection in tree.iter("connection")
        if connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
    }
    assert selectors == connected


def test_the_module_tells_what_it_is(module, slicer_standin):
    parent = SimpleNamespace(path=str(MODULE / "ElasticHyperReg.py"))
    module.ElasticHyperReg(parent)
    assert parent.categories == ["Registration"]
    assert "not for clinical decisions" in parent.helpText
    assert "2311.08239" in parent.acknowledgementText


def test_importing_the_module_loads_no_torch():
    script = (
        "import sys\n"
        "from Testing.gui.standin import install\n"
        "install()\n"
        f"sys.path.append({str(MODULE)!r})\n"
        "import ElasticHyperReg\n"
        "widget = ElasticHyperReg.ElasticHyperRegWidget()\n"
        "widget.setup()\n"
        "widget.enter()\n"
        "sys.exit('torch is loaded' if 'torch' in sys.modules else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_plain_checkout_finds_the_library(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(MODULE)!r})\n"
        "from ElasticHyperRegSlicer import library\n"
        "library.makeImportable()\n"
        "import ElasticHyperRegLib\n"
        "print(ElasticHyperRegLib.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == ROOT / "ElasticHyperRegLib" / "__init__.py"


def test_requirements_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["cli"]}
    brought = ("torch", "numpy", "SimpleITK", "tomli")
    lines = (MODULE / "Resources" / "requirements.txt").read_text("utf-8").splitlines()
    listed = {line for line in lines if not line.startswith("#")}
    assert listed == {line for line in wanted if not line.startswith(brought)}


@pytest.fixture
def installation(module, tmp_path):
    """What is needed: torch, which is there, and a package that does not exist."""
    from ElasticHyperRegSlicer.installation import Installation

    path = tmp_path / "requirements.txt"
    path.write_text("# comment\nno-such-package>=1.0\nnumpy>=1.0\nnumpy>=999\n", encoding="utf-8")
    return Installation(path)


def test_what_is_missing_is_named(installation):
    assert installation.missing() == ["no-such-package>=1.0", "numpy>=999"]
    assert "no-such-package" in installation.description()


def test_nothing_is_installed_without_consent(installation, slicer_standin, monkeypatch):
    asked: list[str] = []
    installed: list[list[str]] = []
    monkeypatch.setattr(
        slicer_standin.util, "confirmOkCancelDisplay", lambda text, *_: asked.append(text)
    )
    monkeypatch.setattr(slicer_standin.util, "pip_install", installed.append)
    assert installation.install() is False
    assert "no-such-package>=1.0" in asked[0]
    assert installed == []


def test_the_packages_of_an_older_slicer_come_by_pip(installation, slicer_standin, monkeypatch):
    installed: list[list[str]] = []
    monkeypatch.setattr(slicer_standin.util, "confirmOkCancelDisplay", lambda *_: True)
    monkeypatch.setattr(slicer_standin.util, "pip_install", installed.append)
    installation.install()
    assert installed == [["no-such-package>=1.0", "numpy>=999"]]

    def fails(_requirements: list[str]) -> None:
        raise RuntimeError("PythonSlicer executable not found")

    said: list[str] = []
    monkeypatch.setattr(slicer_standin.util, "pip_install", fails)
    monkeypatch.setattr("slicer.util.errorDisplay", lambda text, **_: said.append(text))
    assert installation.install() is False
    assert "PythonSlicer" in said[0]


@pytest.mark.parametrize("declined", [True, False])
def test_a_newer_slicer_installs_by_itself(installation, monkeypatch, declined):
    asked = []

    def ensure(requirements, requester):
        asked.append((requirements, requester))
        if declined:
            raise RuntimeError("User declined package installation")

    packaging: Any = ModuleType("slicer.packaging")
    packaging.pip_ensure = ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    assert installation.install() is False
    assert asked == [(["no-such-package>=1.0", "numpy>=999"], "ElasticHyperReg")]


def test_torch_comes_from_the_extension(module, slicer_standin, monkeypatch):
    from ElasticHyperRegSlicer import installation

    said, asked = [], []
    monkeypatch.setattr(slicer_standin.util, "errorDisplay", lambda text, **_: said.append(text))
    assert installation._installTorch() is False
    assert "Extensions Manager" in said[0]

    class PyTorchUtilsLogic:
        def installTorch(self, **how):
            asked.append(how)

    utility: Any = ModuleType("PyTorchUtils")
    utility.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utility)
    assert installation._installTorch() is False
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.4"}]


def test_a_refusal_leaves_the_panel_and_says_what_is_missing(widget, installation, monkeypatch):
    widget.panel.installation = installation
    monkeypatch.setattr(installation, "install", lambda: False)
    widget.ui.registerButton.click()
    assert widget.panel.live.controller is None
    assert widget.ui.installFrame.visible or not widget.ui.installFrame.isHidden()
    assert "no-such-package" in widget.ui.installLabel.text
    widget.ui.swapButton.click()
    assert widget.ui.fixedSelector.currentNode().GetName() == "inhale"


def test_sample_data_is_registered_and_made_here(module, scene, monkeypatch):
    from ElasticHyperRegSlicer import samples

    registered = {}

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(**source):
            registered[source["sampleName"]] = source

        def downloadSamples(self, name):
            return [name]

    sample_data: Any = ModuleType("SampleData")
    sample_data.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", sample_data)
    samples.register("icon.png")
    assert list(registered) == ["BreathingPhantom", "MRBrainTumorPair"]
    assert registered["MRBrainTumorPair"]["customDownloader"](None) == [
        "MRBrainTumor1",
        "MRBrainTumor2",
    ]
    nodes = samples.loadPhantom(size=32)
    assert [node.GetClassName() for node in nodes] == 2 * ["vtkMRMLScalarVolumeNode"] + 2 * [
        "vtkMRMLSegmentationNode"
    ]
    assert nodes[2].GetSegmentation().GetNumberOfSegments() == 5
    said = []
    monkeypatch.setattr(samples, "missing", lambda: "torch is missing")
    monkeypatch.setattr("slicer.util.errorDisplay", lambda text, **_: said.append(text))
    with pytest.raises(RuntimeError, match="torch is missing"):
        registered["BreathingPhantom"]["customDownloader"](None)
    assert "torch is missing" in said[0]
    with pytest.raises(SkipTest, match="torch is missing"):
        module.ElasticHyperRegTest().test_phantom()


def test_totalsegmentator_is_used_where_it_is_installed(widget, slicer_standin, monkeypatch):
    said = []
    monkeypatch.setattr(slicer_standin.util, "infoDisplay", lambda text, **_: said.append(text))
    widget.ui.segmentButton.click()
    assert "TotalSegmentator" in said[0]

    class TotalSegmentatorLogic:
        def setupPythonRequirements(self):
            pass

        def process(self, volume, segmentation, fast, task):
            segmentation.SetAttribute("of", f"{volume.GetName()} {fast} {task}")

    extension: Any = ModuleType("TotalSegmentator")
    extension.TotalSegmentatorLogic = TotalSegmentatorLogic
    extension.__spec__ = ModuleSpec("TotalSegmentator", None)
    monkeypatch.setitem(sys.modules, "TotalSegmentator", extension)
    monkeypatch.setattr(slicer_standin.util, "mainWindow", lambda: None)
    widget.ui.segmentButton.click()
    bed = slicer_standin.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "bed")
    widget.panel.inputs.nodes()["moving"].SetAndObserveTransformNodeID(bed.GetID())
    widget.ui.segmentButton.click()
    nodes = widget.panel.inputs.nodes()
    assert nodes["labels"].GetParentTransformNode() is None
    assert nodes["moving_labels"].GetParentTransformNode() is bed
    assert nodes["labels"].GetAttribute("of") == "exhale True total"
    assert nodes["moving_labels"].GetAttribute("of") == "inhale True total"
    assert load_scheme(widget.panel.inputs.scheme).task == "total"  # of the extension's classes
    combo = widget.ui.schemeComboBox
    for name in {combo.itemData(n) for n in range(combo.count)} - {None}:
        load_scheme(name)
    widget.ui.labelsSelector.setCurrentNode(None)

    def fails_of_the_second(self, volume, segmentation, fast, task):
        if volume is nodes["moving"]:
            raise RuntimeError("no memory")

    monkeypatch.setattr(TotalSegmentatorLogic, "process", fails_of_the_second)
    monkeypatch.setattr("slicer.util.errorDisplay", lambda text, **_: said.append(text))
    with pytest.raises(RuntimeError, match="no memory"):
        widget.panel.inputs.segment()
    assert widget.panel.inputs.nodes()["labels"] is not None


def test_while_the_extension_works_another_choice_gets_nothing(widget, slicer_standin, monkeypatch):
    from ElasticHyperRegSlicer import totalsegmentator

    ui, scene = widget.ui, slicer_standin.mrmlScene
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "another patient")
    runs, usable = [], []

    def segmented(volume, log):
        runs.append(volume.GetName())
        usable.append(ui.segmentButton.enabled or ui.pairSelector.enabled)
        ui.segmentButton.click()  # nothing happens
        ui.fixedSelector.setCurrentNode(other)
        return scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} tissues")

    monkeypatch.setattr(totalsegmentator, "obstacle", lambda: "")
    monkeypatch.setattr(totalsegmentator, "segment", segmented)
    ui.labelsSelector.setCurrentNode(None)
    ui.segmentButton.click()
    assert runs == ["exhale", "inhale"]
    assert not any(usable)
    nodes = widget.panel.inputs.nodes()
    assert "labels" not in nodes
    assert nodes["moving_labels"].GetName() == "inhale tissues"
    assert ui.segmentButton.enabled
    assert ui.pairSelector.enabled


def test_views_are_left_alone_while_another_module_is_open(widget):
    widget.panel.register()
    controller = widget.panel.live.controller
    assert controller.flickers
    widget.exit()
    assert not controller.flickers
    widget.enter()
    assert controller.flickers


def test_scripts_are_told_what_is_missing(module, installation, monkeypatch, capsys):
    from ElasticHyperRegSlicer import installation as place

    from ElasticHyperRegLib.errors import InputError

    monkeypatch.setattr(place.Installation, "missing", lambda self: ["torch>=2.4"])
    logic = module.ElasticHyperRegLogic()
    assert logic.batch("manifest.csv", "out") == 2
    told = "the Python packages torch>=2.4 are missing in 3D Slicer; open the module"
    assert capsys.readouterr().err.startswith(told)
    with pytest.raises(InputError, match="torch>=2.4 are missing in 3D Slicer"):
        logic.register(None, None)
    script = MODULE / "Scripts" / "batch.py"
    found: dict[str, Any] = {"__name__": "script", "__file__": str(script)}
    exec(compile(script.read_text("utf-8"), script, "exec"), found)
    assert found["run"](["manifest.csv", "out"]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_installed_models_are_listed_with_their_cards(widget, monkeypatch):
    from ElasticHyperRegLib import weights

    card = SimpleNamespace(
        name="lung-ct",
        expects=SimpleNamespace(modality="CT", spacing_mm=(2.0, 2.0, 2.0), size=(96, 96, 96)),
        training=SimpleNamespace(data="NLST"),
        model=SimpleNamespace(tissues=("lung", "bone")),
        licence="Apache-2.0",
    )
    monkeypatch.setattr(weights, "list_models", lambda: [card])
    widget.ui.modelCollapsibleButton.click()
    combo = widget.ui.modelComboBox
    combo.setCurrentIndex(combo.findData("lung-ct"))
    assert "lung, bone" in widget.ui.modelCardLabel.text
    assert "Apache-2.0" in widget.ui.modelCardLabel.text
    assert widget.panel.model.model == "lung-ct"


def test_the_batch_script_is_the_command(tmp_path):
    script = MODULE / "Scripts" / "batch.py"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run().returncode == 2
    manifest = tmp_path / "pairs.csv"
    manifest.write_text("case,fixed,moving\none,a.nii.gz,b.nii.gz\n", encoding="utf-8")
    done = run(str(manifest), str(tmp_path / "out"))
    assert done.returncode == 2
    assert "a.nii.gz" in (tmp_path / "out" / "summary.csv").read_text("utf-8")
