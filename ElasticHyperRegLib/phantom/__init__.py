"""A thorax phantom with known deformation and known stiffness; needs no download."""

from .make import Phantom, PhantomOptions, make_phantom

__all__ = ["Phantom", "PhantomOptions", "make_phantom"]
