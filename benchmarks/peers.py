"""Starts one program on one pair, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .cases import Case

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("greedy", "elastix", "ants")


@dataclass(frozen=True)
class Run:
    """What a program left behind: a displacement field and its cost."""

    transform: Path
    seconds: float
    peak_memory_mib: float


def interpreter(program: str) -> Path:
    """Python that has ``program``: the peers' own environment, or the running one."""
    if program not in PEERS:
        return Path(sys.executable)
    python = ROOT / ".venv-bench" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{python} is missing; expected the other programs there; run make bench")
    return python


def run(program: str, case: Case, folder: Path, threads: int) -> Run:
    """Register ``case`` with ``benchmarks.peer_<program>``.

    Raises:
        RuntimeError: the program failed; the end of its output is the message.
    """
    out = folder / f"{case.name}-{program}.nrrd".replace(" ", "-")
    command = [str(interpreter(program)), "-m", f"benchmarks.peer_{program}"]
    command += ["--fixed", str(case.fixed), "--moving", str(case.moving), "--out", str(out)]
    if case.fixed_mask and case.moving_mask:
        command += ["--fixed-mask", str(case.fixed_mask), "--moving-mask", str(case.moving_mask)]
    if case.affine:
        command.append("--affine")
    command += ["--threads", str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = " | ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise RuntimeError(f"{program} on {case.name} exited with {done.returncode}: {tail}")
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    return Run(out, **record)
