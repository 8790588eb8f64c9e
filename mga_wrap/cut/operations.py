"""What a call of a module does, written down while it runs: to tell whether two blocks do the same."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary


class Operations(TorchDispatchMode):
    """Writes down every operation of torch's that runs in this thread, with shapes and numbers but without weights.

    Each tensor is called by the order in which it came up, so that two lists are equal where the same results go into
    the same operations. Whole numbers in tensors (indices, masks of true and false) count by value.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Hashable] = []
        self._numbers = WeakIdKeyDictionary()
        self._count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = self._told((args, kwargs), new=False)
        result = func(*args, **kwargs)
        self._calls.append((str(func), given, self._told(result, new=True)))
        return result

    def signature(self) -> Hashable:
        """Equal for two runs that did the same."""
        return tuple(self._calls)

    def _told(self, value: Any, *, new: bool) -> Hashable:
        if isinstance(value, Tensor):
            return self._told_tensor(value, new=new)
        if isinstance(value, dict):
            return tuple((key, self._told(one, new=new)) for key, one in value.items())
        if isinstance(value, list | tuple):
            return tuple(self._told(one, new=new) for one in value)
        return repr(value)

    def _told_tensor(self, value: Tensor, *, new: bool) -> Hashable:
        if value in self._numbers:
            return self._numbers[value]
        self._numbers[value] = self._count
        self._count += 1
        shown = (self._count - 1, str(value.dtype), tuple(value.shape))
        if new or value.dtype.is_floating_point or value.is_meta:
            return shown
        return (*shown, hash(tuple(value.flatten().tolist())))
