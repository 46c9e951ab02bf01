"""``register``: every file and key that others rely on, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ElasticHyperRegLib import Elasticity, InputError, read_image, read_labels, register
from ElasticHyperRegLib.cli import main, pair
from ElasticHyperRegLib.cli.record import request_record
from ElasticHyperRegLib.cli.settings import Settings, parse_elasticity
from ElasticHyperRegLib.io import apply_to_points, read_points, read_transform
from Testing.unit.cli_help import QUICK, everything_in, refused, run
from Testing.unit.small_pair import PairOnDisk, write_pair
from Testing.unit.tiny_models import install, lively, tiny_spec

FILES = {
    "transform.h5",
    "inverse.h5",
    "warped.nii.gz",
    "warped_labels.nii.gz",
    "jacobian.nii.gz",
    "metrics.json",
    "preview.png",
    "request.json",
}
SCHEME = """
name = "two"
[[tissue]]
name = "background"
label = 0
color = [0, 0, 0]
elasticity = [0.0, 0.01]
[[tissue]]
name = "soft"
label = 1
color = [200, 100, 100]
labels = [1]
elasticity = [0.0, 0.15]
[[tissue]]
name = "hard"
label = 7
color = [250, 250, 200]
labels = [2]
elasticity = [0.1, 0.7]
[[tissue]]
name = "absent"
label = 9
color = [1, 2, 3]
labels = [33]
elasticity = [0.1, 0.1]
"""


@pytest.fixture(scope="module")
def pair_files(tmp_path_factory) -> PairOnDisk:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def done(pair_files, tmp_path_factory) -> Path:
    """The folder of one registration with labels, landmarks and per-tissue λ, μ."""
    out = tmp_path_factory.mktemp("results") / "new" / "out"
    words = ["register", *as_options(pair_files), "--elasticity", "0.0,0.2"]
    words += ["--elasticity", "2=0.1,0.6", *QUICK, "--out", str(out)]
    assert main(words) == 0
    return out


def as_options(files: PairOnDisk) -> list[str]:
    return [
        word
        for name, path in files._asdict().items()
        for word in (f"--{name.replace('_', '-')}", str(path))
    ]


def images(files: PairOnDisk) -> list[str]:
    return ["--fixed", str(files.fixed), "--moving", str(files.moving)]


def test_every_file_is_there(done):
    assert {path.name for path in done.iterdir()} == FILES
    assert [path.name for path in done.parent.iterdir()] == ["out"]


def test_transform_resamples_as_any_itk_program_would(done, pair_files):
    transform = sitk.ReadTransform(str(done / "transform.h5"))
    fixed, moving = (sitk.ReadImage(str(p), sitk.sitkFloat64) for p in pair_files[:2])
    lowest = float(sitk.GetArrayViewFromImage(moving).min())
    again = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, lowest))
    warped = sitk.ReadImage(str(done / "warped.nii.gz"))
    assert warped.GetPixelID() == sitk.sitkInt16
    np.testing.assert_allclose(sitk.GetArrayFromImage(warped), again, atol=0.6)

    labels = sitk.ReadImage(str(pair_files.moving_labels))
    nearest = sitk.Resample(labels, fixed, transform, sitk.sitkNearestNeighbor, 0)
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(done / "warped_labels.nii.gz")))
    assert (ours != sitk.GetArrayFromImage(nearest)).mean() < 1e-3
    assert set(np.unique(ours)) == {0, 1, 2}


def test_transforms_carry_points(done, pair_files):
    fixed, moving = read_points(pair_files.fixed_points), read_points(pair_files.moving_points)
    forth = apply_to_points(read_transform(done / "transform.h5"), fixed)
    back = apply_to_points(read_transform(done / "inverse.h5"), forth)
    assert np.linalg.norm(forth - moving, axis=1).mean() < 1.5
    assert np.linalg.norm(back - fixed, axis=1).max() < 0.3


def test_metrics_have_the_agreed_keys(done):
    metrics = json.loads((done / "metrics.json").read_text())
    assert set(metrics) >= {
        "dice", "mean_dice", "hd95_mm", "tre_mm", "ncc", "folds_fraction", "jacobian",
        "inverse_consistency_mm", "elasticity", "model", "device", "seconds",
        "peak_memory_mib", "version",
    }  # fmt: skip
    for key in ("mean_dice", "ncc"):
        assert set(metrics[key]) == {"before", "after"}
    assert set(metrics["tre_mm"]) == {"before", "after", "n"}
    assert set(metrics["dice"]["2"]) == set(metrics["hd95_mm"]["2"]) == {"before", "after"}
    assert set(metrics["jacobian"]) == {"min", "max", "p01", "p99", "std_log"}
    assert set(metrics["inverse_consistency_mm"]) == {"mean", "p95", "max"}
    assert metrics["elasticity"] == {"background": [0, 0.2], "1": [0, 0.2], "2": [0.1, 0.6]}
    seconds = metrics["seconds"]
    assert set(seconds) >= {"load", "prepare", "initial", "refine", "write", "total"}
    parts = sum(value for key, value in seconds.items() if key != "total")
    assert parts == pytest.approx(seconds["total"], abs=0.5)


def test_jacobian_is_that_of_the_metrics(done):
    metrics = json.loads((done / "metrics.json").read_text())
    jacobian = read_image(done / "jacobian.nii.gz")
    assert float(jacobian.data.min()) == pytest.approx(metrics["jacobian"]["min"])
    assert float((jacobian.data <= 0).float().mean()) == metrics["folds_fraction"]


def test_the_request_repeats_the_run(done, pair_files, tmp_path, capsys):
    request = json.loads((done / "request.json").read_text())
    assert set(request["inputs"]) == set(pair_files._fields)
    assert request["inputs"]["fixed"]["path"] == str(pair_files.fixed)
    assert len(request["inputs"]["fixed"]["sha256"]) == 64
    assert request["options"]["elasticity"] == {"everywhere": [0.0, 0.2], "2": [0.1, 0.6]}
    assert (request["options"]["seed"], request["options"]["refine"]) == (0, 2)
    command = request["command"]
    assert command[0] == "elastic-hyperreg"
    command[command.index("--out") + 1] = str(tmp_path / "again")
    code, out, err = run(capsys, *command[1:])
    assert (code, err) == (0, "")
    assert "mean Dice" in out
    for name in ("transform.h5", "warped.nii.gz", "jacobian.nii.gz"):
        first, second = (
            sitk.ReadTransform(str(f / name))
            if name.endswith("h5")
            else sitk.GetArrayFromImage(sitk.ReadImage(str(f / name)))
            for f in (done, tmp_path / "again")
        )
        if name.endswith("h5"):
            assert first.TransformPoint((31.0, -47.0, 120.0)) == second.TransformPoint(
                (31.0, -47.0, 120.0)
            )
        else:
            assert np.array_equal(first, second)


def test_what_was_typed_from_here_means_the_same_from_anywhere(tmp_path, monkeypatch):
    install(lively(tiny_spec()), tmp_path / "mine" / "model")
    monkeypatch.chdir(tmp_path / "mine")
    options = Settings(model="./model", sliding=("a:b=6.123456789",)).options()
    assert "--similarity" not in request_record({}, {}, options, None, tmp_path)["command"]
    assert options.model == str(tmp_path / "mine" / "model")
    words = request_record({}, {}, options, None, tmp_path)["command"]
    assert words[words.index("--sliding") + 1] == "a:b=6.123456789"


def test_options_are_read_once_before_the_work(pair_files, tmp_path, capsys, monkeypatch):
    values = tmp_path / "values.json"
    values.write_text('{"everywhere": [0.0, 0.3]}')

    def registered(*given):
        values.unlink()
        return register(*given)

    monkeypatch.setattr(pair, "register", registered)
    words = ("--fixed", pair_files.fixed, "--moving", pair_files.moving, "--out", tmp_path / "out")
    assert run(capsys, "register", *words, *QUICK, "--elasticity-file", values)[0] == 0
    record = json.loads((tmp_path / "out" / "request.json").read_text())
    assert record["asked"]["elasticity"] == {"everywhere": [0.0, 0.3]}


def test_minimal_run_leaves_out_what_does_not_apply(pair_files, tmp_path, capsys):
    out = tmp_path / "out"
    matrix = sitk.AffineTransform(3)
    matrix.SetTranslation((-3.0, 4.0, 2.0))  # LPS
    sitk.WriteTransform(matrix, str(tmp_path / "start.tfm"))
    code, said, err = run(
        capsys, "register", *images(pair_files), "--out", out, "--model", "none",
        "--refine", 0, "--initial", tmp_path / "start.tfm",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert str(out / "preview.png") in said
    assert {path.name for path in out.iterdir()} == FILES - {"warped_labels.nii.gz"}
    metrics = json.loads((out / "metrics.json").read_text())
    assert not {"dice", "mean_dice", "hd95_mm", "tre_mm"} & set(metrics)
    assert metrics["model"] == "none"
    assert set(metrics["elasticity"]) == {"everywhere"}
    request = json.loads((out / "request.json").read_text())
    assert request["options"]["initial"][0][3] == pytest.approx(3.0)
    assert request["inputs"]["initial"]["path"] == str(tmp_path / "start.tfm")
    assert str(tmp_path / "start.tfm") in request["command"]


def test_a_scheme_names_tissues_and_brings_presets(pair_files, tmp_path, capsys):
    (tmp_path / "two.toml").write_text(SCHEME)
    common = ["register", *as_options(pair_files), "--tissues", tmp_path / "two.toml", *QUICK]
    code, _, err = run(capsys, *common, "--out", tmp_path / "presets")
    assert (code, err) == (0, "")
    metrics = json.loads((tmp_path / "presets" / "metrics.json").read_text())
    assert metrics["elasticity"] == {"background": [0, 0.01], "soft": [0, 0.15], "hard": [0.1, 0.7]}
    assert set(metrics["dice"]) == {"soft", "hard"}
    warped = read_labels(tmp_path / "presets" / "warped_labels.nii.gz")
    assert warped.present() == (0, 1, 2), "labels keep the values they came with"

    run(capsys, *common, "--elasticity", "hard=0,0.9", "--out", tmp_path / "one")
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert metrics["elasticity"] == {"background": [0, 0.01], "soft": [0, 0.15], "hard": [0, 0.9]}
    files = tmp_path / "params.json"
    files.write_text('{"everywhere": [0, 0.4], "hard": [0.2, 0.3], "absent": [0, 1]}')
    run(
        capsys, *common, "--elasticity-file", files, "--elasticity", "hard=0,0.9",
        "--out", tmp_path / "file",
    )  # fmt: skip
    metrics = json.loads((tmp_path / "file" / "metrics.json").read_text())
    assert metrics["elasticity"] == {"background": [0, 0.4], "soft": [0, 0.4], "hard": [0, 0.9]}


def test_overwriting_is_asked_for_and_touches_only_results(done, pair_files, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "warped_labels.nii.gz").write_bytes(b"of an earlier run")
    before = everything_in(out)
    words = ["register", *images(pair_files), "--out", out, *QUICK]
    assert "not empty; choose another folder or --overwrite" in refused(capsys, *words)
    assert everything_in(out) == before
    assert run(capsys, *words, "--overwrite")[0] == 0
    assert {p.name for p in out.iterdir()} == (FILES - {"warped_labels.nii.gz"}) | {"notes.txt"}
    assert (out / "notes.txt").read_text() == "mine"


def test_the_folder_is_looked_at_before_the_work(pair_files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pair, "read_image", lambda path: pytest.fail("read too early"))
    (tmp_path / "file").write_text("x")
    words = ["register", *images(pair_files), "--out"]
    assert "is a file" in refused(capsys, *words, tmp_path / "file")
    assert "is not empty" in refused(capsys, *words, tmp_path)


def test_a_fault_of_ours_leaves_a_log(pair_files, tmp_path, capsys, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(pair, "register", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = run(capsys, "register", *images(pair_files), "--out", tmp_path / "out", *QUICK)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "a fault of this program (ZeroDivisionError: two lines)" in err
    log = next(tmp_path.glob("elastic-hyperreg-*.log"))
    assert str(log) in err
    assert "Traceback" in log.read_text()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_and_leaves_nothing(
    number, pair_files, tmp_path, capsys, monkeypatch
):
    def interrupted(*args):
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(pair, "register", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    code, out, err = run(capsys, "register", *images(pair_files), "--out", tmp_path / "out", *QUICK)
    assert (code, out) == (130, "")
    assert err == "elastic-hyperreg: stopped; what was unfinished is removed.\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_in_a_process_of_its_own(pair_files, tmp_path):
    command = [sys.executable, "-m", "ElasticHyperRegLib", "register", *images(pair_files)]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "elastic-hyperreg: stopped; what was unfinished is removed.\n"
    assert list(tmp_path.iterdir()) == []


def test_without_typer_it_says_what_to_install(tmp_path):
    (tmp_path / "typer.py").write_text("raise ImportError('none', name='typer')")
    done = subprocess.run(
        [sys.executable, "-m", "ElasticHyperRegLib", "demo"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "elastic-hyperreg[cli]"' in done.stderr


def test_help_and_version(capsys):
    assert "register" in run(capsys, "--help")[1]
    assert run(capsys)[1:] == run(capsys, "--help")[1:]
    code, out, _ = run(capsys, "register", "--help")
    assert code == 0
    for word in ("--fixed", "--elasticity-file", "--tissues", "--refine", "--overwrite"):
        assert word in out
    assert run(capsys, "--version")[1].startswith("elastic-hyperreg 0.")


# Elasticity


def test_elasticity_has_two_forms():
    found = parse_elasticity(["0.1,0.2", "upper lobe=0, 0.5"])
    assert found == {"everywhere": Elasticity(0.1, 0.2), "upper lobe": Elasticity(0, 0.5)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.1", "--elasticity '0.1'; expected λ,μ as in"),
        ("0.1,0.2,0.3", "expected λ,μ as in"),
        ("lung=", "expected λ,μ as in"),
        ("lung=a,b", "expected λ,μ as in"),
        ("0.7,0.4", "everywhere: elasticity λ=0.7, μ=0.4; expected λ and μ in"),
        ("lung=-0.1,0.4", "lung: elasticity λ=-0.1"),
        ("lung=nan,0.4", "lung: elasticity λ=nan"),
        ("0,1.5", "μ=1.5"),
    ],
)
def test_elasticity_out_of_range(text, words):
    with pytest.raises(InputError, match=words):
        parse_elasticity([text])


def test_a_tissue_is_named_once():
    with pytest.raises(InputError, match="for lung twice; expected each tissue once"):
        parse_elasticity(["lung=0,0.1", "lung=0,0.2"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lung: 0.1", "is no JSON file"),
        ("[0.1, 0.2]", "holds no elasticity"),
        ("{}", "holds no elasticity"),
        ('{"lung": 0.1}', "'0.1' for lung"),
        ('{"lung": [0.1]}', "for lung"),
        ('{"lung": [0.1, true]}', "for lung"),
        ('{"elasticity": {"lung": [0.6, 0.6]}}', "lung: elasticity λ=0.6, μ=0.6"),
        ("[" * 100_000, "is no JSON file"),
        ('{"lung": [1' + "0" * 400 + ", 0]}", "lung: a number without end"),
    ],
)
def test_elasticity_files_at_fault(tmp_path, text, words):
    (tmp_path / "params.json").write_text(text)
    with pytest.raises(InputError, match=words):
        Settings(elasticity_file=tmp_path / "params.json").options()


def test_elasticity_files_may_come_from_windows(tmp_path):
    (tmp_path / "params.json").write_text('\ufeff{"everywhere": [0.1, 0.2]}\r\n', encoding="utf-8")
    options = Settings(elasticity_file=tmp_path / "params.json").options()
    assert options.elasticity == Elasticity(0.1, 0.2)
