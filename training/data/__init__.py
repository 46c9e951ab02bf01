"""Data sets to train and to score on: real ones in their official layout, and synthetic ones."""

from .pair import PairSample, PairSource, refuse_shared_patients
from .sources import open_source, source_names

__all__ = ["PairSample", "PairSource", "open_source", "refuse_shared_patients", "source_names"]
