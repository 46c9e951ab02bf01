"""Runs in processes of their own: two that train together and part, a kill, a full disk."""

from __future__ import annotations

import csv
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

from ElasticHyperRegLib.errors import InputError
from Testing.conftest import ROOT
from training.data.phantom import PhantomSource, PhantomSourceOptions
from training.hardware import Hardware
from training.loop import fit
from training.run import train

pytestmark = [pytest.mark.slow, pytest.mark.external]

PATIENCE = 1800
"""Seconds a run may take on a machine that does other work."""

ALONE: Mapping[str, str] = MappingProxyType({})
CONFIG = """
name = "shapes"
seed = 3
[model]
name = "elas-g"
backbone = "hypermorph"
ndim = 2
integration_steps = 2
options = { rank = 2, encoder = [2], decoder = [2], last = [2] }
[data]
source = "shapes"
train = "train"
validation = "val"
options = { size = [12, 12] }
validation_options = { size = [12, 12] }
description = "random shapes"
licence = "none needed"
[optimisation]
steps = 30
batch = 2
window = 5
[validation]
every = 10
settings = [[0.0, 0.1]]
[card]
modality = "MR"
licence = "Apache-2.0"
"""


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "shapes.toml"
    path.write_text(CONFIG)
    return path


def start(
    config: Path, out: Path, *more: str, around: Mapping[str, str] = ALONE, **options
) -> subprocess.Popen[str]:
    words = ["-m", "ElasticHyperRegLib", "train", str(config), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, *words, "--accelerator", "cpu", *more],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **around},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def steps_of(run: Path) -> list[dict[str, str]]:
    with (run / "steps.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("fault", [None, InputError("a loss that is no number")])
def test_the_model_is_gone_when_the_processes_part(config, tmp_path, monkeypatch, fault):
    held: list[weakref.ref[torch.nn.Module]] = []
    left: list[object] = []

    def fit_or_fail(settings, sources, state, *rest):
        held.append(weakref.ref(state.model))
        fit(settings, sources, state, *rest)
        if fault is not None:
            raise fault

    @contextmanager
    def parting(fabric):
        fabric.launch()
        try:
            yield fabric
        finally:
            gc.collect()
            left.extend(model() for model in held)

    monkeypatch.setattr("training.run.fit", fit_or_fail)
    monkeypatch.setattr("training.run.launched", parting)
    with nullcontext() if fault is None else pytest.raises(InputError):
        train(config, None, tmp_path / "run", Hardware("cpu"), lambda *_: None)
    assert left == [None]


def test_two_processes_go_on_after_a_kill_as_if_it_had_not_been(config, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    said, err = start(config, whole, "--devices", "2").communicate(timeout=PATIENCE)
    assert err == ""
    assert said.count("Model:") == 1
    process = start(config, killed, "--devices", "2", start_new_session=True)
    while not (killed / "checkpoint.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (killed / "model").exists()
    said, err = start(config, killed, "--devices", "2").communicate(timeout=PATIENCE)
    assert (err, "Went on after step" in said) == ("", True)
    weights = [run / "model" / "shapes" / "model.safetensors" for run in (whole, killed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert steps_of(whole) == steps_of(killed)
    said, _ = start(config, killed, "--devices", "2").communicate(timeout=PATIENCE)
    assert "had finished all 30 steps before: nothing was trained." in said


def test_two_nodes_train_what_two_processes_of_one_do(config, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    about = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    nodes = [
        start(config, tmp_path / "apart", "--nodes", "2", around={**about, "NODE_RANK": rank})
        for rank in "01"
    ]
    said = [node.communicate(timeout=PATIENCE) for node in nodes]
    assert [(out.count("Model:"), err) for out, err in said] == [(1, ""), (0, "")]
    start(config, tmp_path / "one", "--devices", "2").communicate(timeout=PATIENCE)
    models = [tmp_path / run / "model" / "shapes" for run in ("apart", "one")]
    apart, one = ((model / "model.safetensors").read_bytes() for model in models)
    assert apart == one


def test_nodes_that_do_not_share_the_folder_say_so(config, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    about = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "checkpoint.ckpt").touch()
    nodes = [
        start(config, tmp_path / out, "--nodes", "2", around={**about, "NODE_RANK": rank})
        for rank, out in {"0": "first", "1": "second"}.items()
    ]
    said = [node.communicate(timeout=PATIENCE) for node in nodes]
    assert [node.returncode for node in nodes] == [2, 2]
    assert "one folder that all nodes share" in said[0][1]


def test_a_fault_that_another_process_meets_is_told(config, tmp_path):
    text = config.read_text().replace("ndim = 2", "ndim = 3").replace('"shapes"', '"phantom"')
    options = "options = { size = [32, 32, 32], phantoms = 2, held_out = 1 }"
    config.write_text(text.replace("options = { size = [12, 12] }", options))
    # The first process begins with the first phantom, the second with the second.
    seed = next(n for n in range(100) if [first_draw(n, rank) for rank in (0, 1)] == [0, 1])
    text = config.read_text().replace("seed = 3", f"seed = {seed}")
    config.write_text(text.replace("batch = 2", "batch = 1"))
    (pool := tmp_path / "pool").mkdir()
    source = PhantomSource(pool, "train", PhantomSourceOptions((32, 32, 32), 2, 1))
    broken = source._path(source._seeds[1])
    assert broken is not None
    broken.write_bytes(b"no phantom")
    process = start(config, tmp_path / "run", "--data", str(pool), "--devices", "2")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert f"process 1: {broken} is damaged" in err and "a fault of this program" not in err


def first_draw(seed: int, rank: int) -> int:
    """Which of two phantoms a process sees first."""
    return int(np.random.default_rng((seed, 0, 0, rank)).integers(2))


def test_a_full_disk_is_one_line_and_the_last_checkpoint_is_whole(config, tmp_path):
    out = tmp_path / "run"

    def little_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    room = 4096  # enough for the record, not for a picture or a checkpoint
    process = start(config, out, preexec_fn=little_space)
    said, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"{out}, which cannot be written (File too large)" in err
    assert not (out / "checkpoint.ckpt").exists()
    process = start(config, out)
    assert "Model:" in process.communicate(timeout=PATIENCE)[0]
