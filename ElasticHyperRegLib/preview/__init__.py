"""The picture of a result that is looked at first."""

from .figure import render_preview

__all__ = ["render_preview"]
