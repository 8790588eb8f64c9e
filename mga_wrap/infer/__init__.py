"""Enlarge images with a network: yours, a pretrained one, or the one in the package."""

from mga_wrap.infer.api import enlarge, explain, upscale
from mga_wrap.infer.networks import network_for

__all__ = ["enlarge", "explain", "network_for", "upscale"]
