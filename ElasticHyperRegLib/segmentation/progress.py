"""How far TotalSegmentator is, read from what it prints."""

from __future__ import annotations

import re

_PERCENT = re.compile(r"(\d{1,3})%\|")
_PART = re.compile(r"Predicting part (\d+) of (\d+)")
_MODEL = re.compile(r"Downloading model for Task (\S+)")
ROUGH_SHARE = 0.15
"""Of the whole: the rough segmentation that says where the wanted classes are."""
SAVING = 0.97


class ProgressReader:
    """Turns lines into a step and the fraction done of all; the fraction never falls."""

    def __init__(self) -> None:
        self._step, self._fraction = "starting", 0.0
        self._low, self._width = 0.0, 0.0
        self._rough, self._base = False, 0.0
        self._loading = ""

    def read(self, line: str) -> tuple[str, float] | None:
        """The step and the fraction after ``line``, where it changes them."""
        before = self._step, self._fraction
        if percent := _PERCENT.search(line):
            self._advance(int(percent[1]))
        self._message(line)  # a bar and the next message may share a line
        now = self._step, self._fraction
        return None if now == before else now

    def _message(self, line: str) -> None:
        if model := _MODEL.search(line):
            self._loading = f"downloading the weights {model[1]}"
            self._step = self._loading
        elif "Download finished" in line:
            self._loading = ""
        elif "Generating rough segmentation" in line:
            self._rough, self._step = True, "looking for the organs"
        elif part := _PART.search(line):
            width = (SAVING - self._base) / int(part[2])
            low = self._base + (int(part[1]) - 1) * width
            self._enter(f"segmenting, part {part[1]} of {part[2]}", low, width)
        elif "Predicting..." in line and self._rough:
            self._rough, self._base = False, ROUGH_SHARE
            self._enter("looking for the organs", 0.0, ROUGH_SHARE)
        elif "Predicting..." in line:
            self._enter("segmenting", self._base, SAVING - self._base)
        elif "Saving segmentations" in line:
            self._enter("saving", SAVING, 0.0)

    def _enter(self, step: str, low: float, width: float) -> None:
        self._step, self._low, self._width, self._loading = step, low, width, ""
        self._fraction = max(self._fraction, low)

    def _advance(self, percent: int) -> None:
        if self._loading:
            self._step = f"{self._loading}: {percent} %"
        else:
            self._fraction = max(self._fraction, self._low + self._width * percent / 100)
