"""A small executable that says and does what TotalSegmentator does, for tests of what is around.

It is no segmenter: it labels the brightest voxels as the first class that is asked for. What it
says is copied from TotalSegmentator 2.18. ``write_program`` makes it; the environment variable
``PRETEND`` chooses how it ends.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

ENDINGS = {
    "memory": "RuntimeError: One or more background workers are no longer alive. Exiting.",
    "gpu-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "licence": "It requires a license. For non-commercial usage a free license can be",
    "network": "Downloading model for Task 291 ...\n"
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='github.com', port=443): Max "
    "retries exceeded with url: /wasserth/TotalSegmentator/releases/download/x.zip (Caused by "
    "NameResolutionError: Failed to resolve 'github.com')",
    "weights": "FileNotFoundError: [Errno 2] No such file or directory: "
    "'/home/me/.totalsegmentator/nnunet/results/Dataset297/fold_0/checkpoint_final.pth'",
    "disk": "OSError: [Errno 28] No space left on device",
    "broken": "ModuleNotFoundError: No module named 'nnunetv2'",
    "old": "TotalSegmentator: error: unrecognized arguments: --task",
    "locked": "PermissionError: [Errno 13] Permission denied: '/root/.totalsegmentator'",
    "unknown": "Traceback (most recent call last):\nValueError: something new",
}

SCRIPT = """#!{python}
import json, os, subprocess, sys, time
from pathlib import Path

words = sys.argv[1:]
ending = os.environ.get("PRETEND", "well")
notes = Path(__file__).with_suffix(".json")


def note(**more):
    known = json.loads(notes.read_text()) if notes.is_file() else {{"runs": 0}}
    notes.write_text(json.dumps({{**known, **more, "runs": known["runs"] + ("words" in more)}}))


def say(text, end="\\n"):
    print(text, end=end, flush=True)


def after(flag):
    return words[words.index(flag) + 1] if flag in words else None


note(words=words, python=os.environ.get("PYTHONPATH"))
say("\\nIf you use this tool please cite: https://pubs.rsna.org/doi/10.1148/ryai.230024\\n")
endings = {endings!r}
if ending in endings:
    sys.stderr.write(endings[ending] + "\\n")
    sys.exit(1)
if ending == "killed":
    os.kill(os.getpid(), 9)
if ending == "hang":
    worker = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", worker])
    note(child=child.pid)
    say("Predicting...")
    time.sleep(60)
if ending == "no-gpu":
    say("No GPU detected. Running on CPU. This can be very slow.")
if "--roi_subset" in words:
    say("Generating rough segmentation for cropping...")
    say("Resampling...")
    say("Predicting...")
    sys.stderr.write("100%|##########| 1/1 [00:01<00:00]\\n")
say("Resampling...")
parts = 1 if "--fast" in words else 2
for part in range(1, parts + 1):
    say("Predicting..." if parts == 1 else f"Predicting part {{part}} of {{parts}} ...")
    for percent in (0, 50, 100):
        sys.stderr.write(f"\\r {{percent}}%|#####     | {{percent}}/100 [00:01<00:01,  1.0it/s]")
        sys.stderr.flush()
    sys.stderr.write("\\n")
say("Saving segmentations...")
if ending == "silent":
    sys.exit(0)

import array, gzip, struct

raw = bytearray(gzip.open(after("-i")).read())
start = int(struct.unpack_from("<f", raw, 108)[0])
values = array.array({{4: "h", 16: "f"}}[struct.unpack_from("<h", raw, 70)[0]], bytes(raw[start:]))
label = 0 if ending == "nothing" else 5
threshold = 0.5 * max(values)
struct.pack_into("<hh", raw, 70, 2, 8)
if ending == "moved":
    x = struct.unpack_from("<f", raw, 268)[0]
    struct.pack_into("<f", raw, 268, x + 50)
    struct.pack_into("<f", raw, 292, struct.unpack_from("<f", raw, 292)[0] + 50)
with gzip.open(after("-o"), "wb") as out:
    out.write(raw[:start] + bytes(label * (value > threshold) for value in values))
"""


def write_program(folder: Path) -> Path:
    """The executable ``TotalSegmentator`` in ``folder``."""
    if sys.platform == "win32":
        pytest.skip("a script is no executable on Windows")
    path = folder / "TotalSegmentator"
    path.write_text(SCRIPT.format(python=sys.executable, endings=ENDINGS), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
