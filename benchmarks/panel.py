"""A storm of slider moves on the panel of the 3D Slicer module, on the Qt stand-in.

    QT_QPA_PLATFORM=offscreen python -m benchmarks.panel --out bench-result

A phantom is registered by the exact solver, volume change and arrows are shown, and sliders of all
tissues are dragged for ten seconds. A timer every 20 ms tells how long the window was held up, the
scene is counted, and the files exported in the end are compared with those that
``elastic-hyperreg register`` writes for the same settings. The stand-in draws no views.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from Testing.gui.driving import (
    choose,
    command_line,
    differing,
    export,
    open_module,
    storm,
    wait,
)
from Testing.gui.standin import install


def live_module(size: int) -> Any:
    """The module with a phantom that has been registered."""
    widget = open_module(size)
    widget.ui.registerButton.click()
    wait(widget)
    widget.ui.jacobianCheckBox.click()
    choose(widget.ui.glyphComboBox, "arrows")
    return widget


def agrees(widget: Any) -> bool:
    """Whether the files exported now are those of the command line, in every bit."""
    with TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        export(widget, ours)
        theirs.mkdir()
        if command_line(widget, theirs):
            raise RuntimeError("the command line failed; its message stands above")
        return not differing(ours, theirs / "out")


def main() -> None:
    """Measure and write ``panel.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="voxels of the phantom")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long sliders are dragged")
    parser.add_argument("--out", type=Path, default=Path("bench-result"))
    given = parser.parse_args()
    install()
    widget = live_module(given.size)
    seen = storm(widget, given.seconds)
    wait(widget)
    same = "yes" if agrees(widget) else "no"
    widget.cleanup()
    lines = [
        "| moves | answers shown | 20 ms beats | worst delay [ms] | nodes added | memory [MiB] "
        "| end as the command line's |",
        "|---|---|---|---|---|---|---|",
        f"| {seen.moves} | {seen.answers} | {seen.beats} | {seen.late_ms:.0f} | "
        f"{seen.nodes_added} | {seen.grown_mib:+.0f} | {same} |",
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "panel.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
