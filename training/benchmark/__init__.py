"""Published tables again, on any split: for trained models, for the solver, for both together."""

from .run import BENCHMARKS, BenchmarkOptions, run_benchmark
from .score import Row
from .table import TABLE_FILES, as_markdown, as_records, as_table, notes, write_table

__all__ = [
    "BENCHMARKS",
    "TABLE_FILES",
    "BenchmarkOptions",
    "Row",
    "as_markdown",
    "as_records",
    "as_table",
    "notes",
    "run_benchmark",
    "write_table",
]
