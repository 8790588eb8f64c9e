"""Calls of a network's modules: caught while it runs, and remembered, so that none has to run twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.node import map_aggregate

from mga_wrap.counting import counting_macs

Call = Callable[..., Any]

_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def alone_with(model: nn.Module) -> threading.RLock:
    """A lock, the same for the same model: who traces it changes it for a while."""
    return _LOCKS.setdefault(model, threading.RLock())


@contextmanager
def caught(model: nn.Module, take: Callable[[str, Call, Any, Any], Any]) -> Iterator[None]:
    """Let every call of a module in the model go through `take(name, call, args, kwargs)`.

    The modules themselves are changed for a while, never `nn.Module`, whose other instances belong to anybody.
    """
    modules = [(name, module) for name, module in model.named_modules() if name]
    try:
        for name, module in modules:  # where `nn.Module.__call__` looks for a compiled forward
            vars(module)[_CALL] = partial(_through, take, name, module._call_impl)
        yield
    finally:
        for _, module in modules:
            vars(module).pop(_CALL, None)


_CALL = "_compiled_call_impl"


def _through(take: Callable[[str, Call, Any, Any], Any], name: str, call: Call, *args: Any, **kwargs: Any) -> Any:
    return take(name, call, args, kwargs)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what torch logs in this thread when a network fails on a fake image: our error says it in one line."""
    thread = threading.get_ident()

    def by_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(by_others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(by_others)


_LOGGERS = ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes", "torch.fx.proxy")


@dataclass(frozen=True)
class _Made:
    """A tensor without its values."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: Tensor) -> _Made:
        return cls(tensor.shape, tensor.stride(), tensor.dtype, tensor.device)

    def again(self) -> Tensor:
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)


class Known:
    """What calls of a network's modules on fake images returned, and their MACs.

    Finding the blocks takes several runs, each of which looks into one module more. All else has run before.
    """

    def __init__(self) -> None:
        self._returned: dict[Hashable, tuple[Any, int]] = {}
        self._counted: Callable[[], int] = lambda: 0
        self._before = 0

    @property
    def macs(self) -> int:
        """MACs so far, those of known calls among them."""
        return self._before + self._counted()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what convolutions and matrix products multiply; to be entered after a mode of fake tensors."""
        with counting_macs() as counted:
            self._counted = counted
            try:
                yield
            finally:
                self._before, self._counted = self.macs, lambda: 0

    def call(self, name: str, call: Call, args: Any, kwargs: Any) -> Any:
        """What the call returns; a known one on fake tensors is not made."""
        key = _key(name, args, kwargs)
        if key in self._returned:
            made, macs = self._returned[key]
            self._before += macs
            return map_aggregate(made, _again)
        before = self.macs
        value = call(*args, **kwargs)
        if key is not None and not _real(value):
            self._returned[key] = map_aggregate(value, _frozen_tensor), self.macs - before
        return value


def _frozen_tensor(one: Any) -> Any:
    return _Made.of(one) if isinstance(one, Tensor) else one


def _again(one: Any) -> Any:
    return one.again() if isinstance(one, _Made) else one


def _key(name: str, args: Any, kwargs: Any) -> Hashable:
    """Equal for calls that return the same kind of tensors; None where that cannot be told."""
    if not tensors_in((args, kwargs), FakeTensor):
        return None
    try:
        key = name, _frozen((args, kwargs))
        hash(key)
    except TypeError:  # an argument without a hash
        return None
    return key


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return _Made.of(value)
    if isinstance(value, dict):
        return tuple((key, _frozen(one)) for key, one in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(_frozen, value))
    return value


def _real(value: Any) -> bool:
    """Whether there are values in it that another call need not return."""
    found = tensors_in(value)
    return not found or any(not isinstance(tensor, FakeTensor) for tensor in found)


def tensors_in(values: Any, kind: type = Tensor) -> list[Any]:
    """The tensors of a kind in nested tuples, lists and dicts."""
    found: list[Any] = []
    map_aggregate(values, lambda value: found.append(value) if isinstance(value, kind) else None)  # type: ignore[func-returns-value]
    return found
