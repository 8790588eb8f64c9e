"""From what a user writes to a network: a name, a folder, a file, code of the user's own."""

from mga_wrap.networks.load import load_network

__all__ = ["load_network"]
