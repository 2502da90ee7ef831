"""`Lab`: the one object of a notebook."""

from labkit.lab.lab import Lab

__all__ = ["Lab"]
