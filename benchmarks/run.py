"""Registers the same pairs with several programs and tabulates what came out.

python -m benchmarks.run acdc lung --out bench-result --programs greedy,ants
python -m benchmarks.run all --out bench-result
python -m benchmarks.run pair --fixed F --moving M --points P Q --out bench-result
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .cases import SETS, Case, real_images
from .measure import measure
from .peers import PEERS, run

UNREGISTERED = "unregistered"
Record = dict[str, Any]


def compare(
    cases: Sequence[Case], programs: Iterable[str], folder: Path, threads: int
) -> list[Record]:
    """One record for each program and case: its measures and its cost."""
    records = []
    for program in (UNREGISTERED, *programs):
        for case in cases:
            record: Record = {"program": program, "case": case.name}
            if program == UNREGISTERED:
                record |= measure(case, None)
            else:
                done = run(program, case, folder, threads)
                record |= measure(case, done.transform)
                record |= {"time [s]": done.seconds, "memory [MiB]": done.peak_memory_mib}
            print(f"{program} · {case.name}", file=sys.stderr)
            records.append(record)
    return records


def table(records: Sequence[Record]) -> str:
    """Markdown: one row a program, the mean over its cases; times add up."""
    columns = list(dict.fromkeys(key for record in records for key in record))[2:]
    lines = [f"| program | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for program in dict.fromkeys(record["program"] for record in records):
        own = [record for record in records if record["program"] == program]
        cells = [_cell([r[column] for r in own if column in r], column) for column in columns]
        lines.append(f"| {program} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float], column: str) -> str:
    if not values:
        return ""
    if column.startswith("time"):
        return f"{sum(values):.1f}"
    if column.startswith("memory"):
        return f"{max(values):.0f}"
    return f"{sum(values) / len(values):.3f}"


def machine(threads: int) -> str:
    """What the times were measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {threads} threads, {platform.system()}"


def write(name: str, records: Sequence[Record], folder: Path, threads: int) -> None:
    """``<name>.json`` with every record, ``<name>.md`` with the table, which is printed too."""
    text = (
        f"## {name}\n\n{table(records)}\n\n{machine(threads)}; sums of times, means of the rest.\n"
    )
    (folder / f"{name}.json").write_text(json.dumps(records, indent=2), encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("sets", nargs="+", choices=[*SETS, "all", "pair"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--programs", default=",".join(("ours", *PEERS)))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=real_images(), help="folder of real images")
    for name in ("fixed", "moving", "fixed-mask", "moving-mask"):
        parser.add_argument(f"--{name}", type=Path, help="for `pair`")
    parser.add_argument("--points", type=Path, nargs=2, help="landmarks, for `pair`")
    parser.add_argument("--labels", type=Path, nargs=2, help="label maps, for `pair`")
    return parser.parse_args()


def own_pair(given: argparse.Namespace) -> list[Case]:
    """The pair named on the command line."""
    if not (given.fixed and given.moving):
        raise SystemExit("`pair` without --fixed and --moving; expected two image files")
    return [
        Case(
            "pair",
            given.fixed,
            given.moving,
            given.fixed_mask,
            given.moving_mask,
            labels=tuple(given.labels) if given.labels else None,
            points={"points": tuple(given.points)} if given.points else {},
        )
    ]


def main() -> None:
    """Run the sets asked for; one that needs real images is left out where there are none."""
    given = arguments()
    for name in SETS if "all" in given.sets else given.sets:
        folder = given.out.resolve() / name
        folder.mkdir(parents=True, exist_ok=True)
        if name not in ("pair", "phantom") and not given.data.is_dir():
            print(f"{name} left out: no real images at {given.data}", file=sys.stderr)
            continue
        cases = own_pair(given) if name == "pair" else SETS[name](given.data, folder)
        records = compare(cases, given.programs.split(","), folder, given.threads)
        write(name, records, given.out, given.threads)


if __name__ == "__main__":
    main()
