"""Image similarity: local NCC, mean squared error and MIND-SSC."""

from .mind import mind_distance, mind_ssc
from .mse import mse
from .ncc import LocalNCC, box_sum, local_ncc

__all__ = ["LocalNCC", "box_sum", "local_ncc", "mind_distance", "mind_ssc", "mse"]
