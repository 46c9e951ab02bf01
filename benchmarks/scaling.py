"""Time and memory of the solver against the number of voxels, on phantoms of growing size.

python -m benchmarks.scaling --sizes 64,96,128,192,256 --out bench-result

Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from ElasticHyperRegLib import RegistrationOptions, RegistrationRequest, register
from ElasticHyperRegLib.engine.report import peak_memory_mib
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom

COLUMNS = ("size", "voxels", "solver [s]", "solver [µs/voxel]", "memory [MiB]")


def measure(size: int) -> dict[str, float]:
    """Register one phantom of ``size``³ voxels with the settings of the box."""
    phantom = make_phantom(PhantomOptions(size=size))
    options = RegistrationOptions(initial="none", model="none", device="cpu")
    result = register(RegistrationRequest(phantom.fixed, phantom.moving, options=options))
    seconds = result.metrics["seconds"]["refine"]
    peak = round(peak_memory_mib()["peak_memory_mib"])
    values = (size, size**3, round(seconds, 1), round(seconds / size**3 * 1e6, 2), peak)
    return dict(zip(COLUMNS, values, strict=True))


def main() -> None:
    """Run every size and write ``scaling.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="64,96,128,192,256")
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    parser.add_argument("--one", type=int, help="measure this size alone, JSON on standard output")
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(measure(given.one)))
        return
    rows = []
    for size in given.sizes.split(","):
        command = [sys.executable, "-m", "benchmarks.scaling", "--one", size]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(str(row[c]) for c in COLUMNS)} |" for row in rows]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "scaling.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
