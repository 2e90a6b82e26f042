"""Where the time of a training step goes, and what this machine could do at most."""

from .step import OpProfile, Profile

__all__ = ["OpProfile", "Profile"]
