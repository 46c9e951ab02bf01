"""What TotalSegmentator says when it fails, as one line that the user can act on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError

NAME = "TotalSegmentator"
KILLED = (-9, 137)
"""Exit status of a program that the system killed, nearly always for memory."""
_MODEL = re.compile(r"Downloading model for Task (\S+)")
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b.*")


@dataclass(frozen=True)
class _Fault:
    """What a failure looks like, and what to say about it."""

    sign: re.Pattern[str]
    given: str
    action: str


def _fault(sign: str, given: str, action: str) -> _Fault:
    return _Fault(re.compile(sign), given, action)


_NO_MEMORY = _fault(
    r"MemoryError|Unable to allocate|can't allocate memory|Cannot allocate memory"
    r"|background workers? (?:is|are) no longer alive|worker.*died",
    "it ran out of memory",
    "use --fast, crop the image, or close other programs",
)
_FAULTS = (
    _fault(
        r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED",
        "the GPU ran out of memory",
        "use --fast, or --device cpu",
    ),
    _NO_MEMORY,
    _fault(
        r"requires a license|license number has not been set|Invalid license number"
        r"|invalid_license|KeyError: 'license_number'",
        "this task needs a licence that is not set or not valid",
        "get one from its authors and set it with totalseg_set_license -l NUMBER",
    ),
    _fault(
        r"No space left on device|Disk quota exceeded|Errno 28",
        "the disk is full",
        "free some space: its weights and temporary files need several gigabytes",
    ),
    _fault(
        r"BadZipFile|checkpoint_final\.pth|dataset_id \d+ not found|PytorchStreamReader"
        r"|(?:dataset|plans)\.json'|invalid load key|Error\(s\) in loading state_dict",
        "its weights are missing or incomplete",
        "delete them from its weights folder (~/.totalsegmentator/nnunet/results unless "
        "TOTALSEG_WEIGHTS_PATH says otherwise) and run it again with a network",
    ),
    _fault(
        r"No module named|cannot import name|DLL load failed|undefined symbol"
        r"|operator torchvision::",
        "its installation is broken",
        "install it again, or let --install make an environment for it",
    ),
    _fault(
        r"unrecognized arguments|invalid choice|the following arguments are required",
        "this version does not know an option that is needed",
        "update it to version 2.4 or later: pip install -U TotalSegmentator",
    ),
    _fault(
        r"Permission denied|Errno 13|Read-only file system",
        "it may not write where its weights and settings lie",
        "set TOTALSEG_HOME_DIR to a folder that you may write to",
    ),
)
_NO_NETWORK = re.compile(
    r"ConnectionError|Max retries exceeded|NameResolutionError|Name or service not known"
    r"|Temporary failure in name resolution|ConnectTimeout|ReadTimeout|ReadTimeoutError|ProxyError"
    r"|SSLError|HTTPError|IncompleteRead|ChunkedEncodingError|Network is unreachable"
)


def explain(status: int, lines: Sequence[str], log: str = "") -> InputError:
    """What to raise for a run that ended with ``status``.

    Args:
        status: exit status, negative for a signal.
        lines: what it printed.
        log: where all of that can be read, for a failure that is not known.
    """
    text = "\n".join(lines)
    if _NO_NETWORK.search(text):
        return _no_network(text)
    known = next((fault for fault in _FAULTS if fault.sign.search(text)), None)
    if known is None and status in KILLED:
        known = _NO_MEMORY
    if known is not None:
        return InputError(f"{NAME} failed: {known.given}", action=known.action)
    return InputError(
        f"{NAME} failed with status {status}: {_last_words(lines)}",
        action=f"read its output in {log}" if log else "run it by hand to see more",
    )


def _no_network(text: str) -> InputError:
    models = _MODEL.findall(text)
    what = f"the weights {models[-1]} are not there and" if models else "what it needs"
    return InputError(
        f"{NAME} failed: {what} could not be downloaded",
        "a network connection the first time",
        "connect once, or bring the weights from another machine with totalseg_import_weights",
    )


def _last_words(lines: Sequence[str]) -> str:
    """The exception, or the last line that says something."""
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if _EXCEPTION.match(line)]
    return (errors or said or ["it said nothing"])[-1][:200]


def remarks(lines: Sequence[str]) -> tuple[str, ...]:
    """What the user should know of a run that went well."""
    text = "\n".join(lines)
    found = []
    if fell_back(lines):
        found.append(f"{NAME} found no GPU and ran on the processor")
    if "sends anonymous usage statistics" in text:
        found.append(f"{NAME} sends anonymous usage statistics to its authors; its own settings")
    return tuple(found)


def fell_back(lines: Sequence[str]) -> bool:
    """Whether it ran on the processor although it was to use a GPU."""
    return any("No GPU detected" in line or "Invalid GPU config" in line for line in lines)
