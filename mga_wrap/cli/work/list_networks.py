"""What `mga-wrap list` does."""

from __future__ import annotations

from mga_wrap.names import list_pretrained, list_students
from mga_wrap.remote import list_cached, list_remote


def list_networks(hub: str | None) -> None:
    """Print a line for each network: its name, and where it is."""
    found = [
        *((name, "in the package") for name in list_pretrained()),
        *((name, "in the package, a small network that is not cut") for name in list_students()),
        *((name, "in the cache") for name in list_cached()),
        *((name, "on the Hub") for name in (list_remote(hub) if hub is not None else ())),
    ]
    width = max((len(name) for name, _ in found), default=0)
    for name, where in found:
        print(f"{name:<{width}}  {where}")
