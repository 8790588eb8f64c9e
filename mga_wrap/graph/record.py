"""Trace any network for one size of image: its forward runs on a real or fake image, and what it calls is written down.

Torch.fx's own tracer hands the forward a proxy, of which nothing is known: `if h % 8`, `range(n)`, einops and
`type_as` end there. Here the forward has a tensor with a shape. Every size is a plain number, so whatever Python does
with sizes works, and the graph holds for this size alone. Nothing is computed where the image is fake, and blocks that
keep their input's shape need not be called at all: writing down another size takes milliseconds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode, is_tensor_method_or_property
from torch.utils._python_dispatch import _disable_current_modes

from mga_wrap.errors import CutError
from mga_wrap.graph.calls import Call, Known, alone_with, caught, quiet, tensors_in
from mga_wrap.graph.trace import FACT, Fact, Traced, ancestors, check_image, fails_on
from mga_wrap.graph.trace import unchanged as _unchanged

CONSTANT = "_mga_constant{}"
"""Names of tensors that a forward makes itself, like the attention mask for a size."""


def record_blocks(
    model: nn.Module,
    lr: Tensor,
    *,
    opened: frozenset[str] = frozenset(),
    skipped: frozenset[str] = frozenset(),
    known: Known | None = None,
) -> Traced:
    """Trace a network for images of one shape.

    Args:
        model: lr -> sr, in eval mode, on the device of lr; it is as before when this returns.
        lr: (B, 3, H, W); its values are of no consequence unless a block looks at them.
        opened: dotted names of modules to look into; all others stay one node each.
        skipped: dotted names of modules that return a tensor of their first input's shape and are not called.
        known: count MACs, and leave out calls that it knows; otherwise shapes alone are noted.

    Returns:
        The graph for this shape, with `Fact`s.

    Raises:
        CutError: the forward fails, depends on the values of the image, or does not return one image.
    """
    try:
        return _record(model, lr, opened, skipped, fake=True, known=known)
    except CutError:
        raise
    except Exception:  # e.g. a block that looks at its data: with an image it may run
        try:
            return _record(model, lr, opened, skipped, fake=False, known=known)
        except CutError:
            raise
        except Exception as error:  # whatever a forward does with an image that it does not take
            raise fails_on(model, lr, error) from error


def _record(
    model: nn.Module, lr: Tensor, opened: frozenset[str], skipped: frozenset[str], *, fake: bool, known: Known | None
) -> Traced:
    with alone_with(model), quiet(), _disable_current_modes(), torch.no_grad(), _unchanged(model):
        mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else None
        recorder = _Recorder(model, mode, skipped, known)
        image = mode.from_tensor(lr) if mode else lr.clone()
        recorder.placeholder(image)
        with caught(model, recorder.opening(opened)), recorder:
            result = model(image)
    check_image(model, lr, result)
    recorder.graph.output(recorder.node(result))
    return Traced(model, recorder.graph, recorder.constants)


class _Recorder(TorchFunctionMode):
    """Writes every call that a tensor of the forward takes part in into a graph.

    Tensors are known by identity, and all that were seen are kept until the end, so that no identity comes twice.
    """

    def __init__(
        self, model: nn.Module, fake: FakeTensorMode | None, skipped: frozenset[str], known: Known | None
    ) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.constants: dict[str, Tensor] = {}
        self.fake, self.skipped, self.known = fake, skipped, known
        self.busy = False  # inside a module that is one node
        self._model = model
        self._nodes: dict[int, fx.Node] = {}
        self._kept: list[Any] = []
        self._made: dict[tuple[int, int], fx.Node] = {}
        own = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
        self._names = {id(tensor): name for name, tensor in reversed(own)}

    def placeholder(self, image: Tensor) -> None:
        self._note(self.graph.placeholder("lr"), image, 0)

    def node(self, tensor: Tensor) -> fx.Node:
        """The node that a tensor is the value of; a constant if it comes from nowhere."""
        if id(tensor) in self._nodes:
            return self._nodes[id(tensor)]
        if id(tensor) in self._names:
            node = self.graph.get_attr(self._names[id(tensor)])
            self._note(node, tensor, 0)
            return node
        return self._constant(tensor)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.busy:
            return func(*args, **kwargs)
        func, args, kwargs = _without_pattern(func, args, kwargs)
        tensors = tensors_in((args, kwargs))
        if not any(id(t) in self._nodes or id(t) in self._names for t in tensors):
            return func(*args, **kwargs)
        if func.__name__ in _VALUES and any(self._of_image(t) for t in tensors):
            raise CutError(
                f"the forward of {type(self._model).__name__} depends on the values of the image ({func.__name__}), "
                "not on its size alone; move such code into a block of its own"
            )
        if func.__name__ == "__set__":
            raise CutError(f"the forward assigns to an attribute of a tensor ({func}); write it without")
        inputs = cast(tuple[Any, Any], self._inputs((args, kwargs)))
        with self._running(fake=any(isinstance(t, FakeTensor) for t in tensors)) as macs:
            value = func(*args, **kwargs)
        if func.__name__ == "__setitem__":
            self._note(self.graph.call_function(set_item, *inputs), args[0], 0)
        elif tensors_in(value):
            self._note(self._call(func, *inputs), value, macs())
        return value

    def _of_image(self, tensor: Tensor) -> bool:
        node = self._nodes.get(id(tensor))
        return node is not None and any(n.op == "placeholder" for n in (node, *ancestors(node)))

    def _call(self, func: Callable[..., Any], args: Any, kwargs: Any) -> fx.Node:
        if func.__name__ == "__get__":  # a property: x.T
            return self.graph.call_function(getattr, (args[0], func.__self__.__name__))  # type: ignore[attr-defined]
        if is_tensor_method_or_property(func):
            return self.graph.call_method(func.__name__, args, kwargs)
        return self.graph.call_function(func, args, kwargs)

    def opening(self, opened: frozenset[str]) -> Callable[[str, Call, Any, Any], Any]:
        """What to do with the call of a module: nothing if it is opened, or inside one that is not."""

        def take(name: str, call: Call, args: Any, kwargs: Any) -> Any:
            if self.busy and self.known:
                return self.known.call(name, call, args, kwargs)
            return call(*args, **kwargs) if self.busy or name in opened else self._leaf(name, call, args, kwargs)

        return take

    def _leaf(self, name: str, call: Call, args: Any, kwargs: Any) -> Any:
        """Call a module that is one node."""
        inputs = cast(tuple[Any, Any], self._inputs((args, kwargs)))
        self.busy = True
        try:
            with self._running(fake=True) as macs:
                if name in self.skipped:
                    value = torch.empty_like(args[0])
                else:
                    value = self.known.call(name, call, args, kwargs) if self.known else call(*args, **kwargs)
        finally:
            self.busy = False
        self._note(self.graph.call_module(name, *inputs), value, macs())
        return value

    @contextmanager
    def _running(self, *, fake: bool) -> Iterator[Callable[[], int]]:
        """Yield a function that says how many MACs were run since; 0 where nothing is counted."""
        known = self.known
        with self.fake if self.fake is not None and fake else nullcontext():
            if known is None:
                yield lambda: 0
                return
            before = known.macs
            with known.counting():
                yield lambda: known.macs - before

    def _inputs(self, values: Any) -> Any:
        return map_aggregate(values, lambda value: self.node(value) if isinstance(value, Tensor) else value)

    def _constant(self, tensor: Tensor) -> fx.Node:
        """A tensor that the forward made: as it is now, since a loop may go on writing into it."""
        key = (id(tensor), tensor._version)
        if key not in self._made:
            name = CONSTANT.format(len(self.constants))
            self.constants[name] = tensor.clone()
            node = self.graph.get_attr(name)
            node.meta[FACT] = Fact(tuple(tensor.shape), 0)
            # The copy is for a forward that writes the image into what it made.
            self._made[key] = self.graph.call_method("clone", (node,))
            self._made[key].meta[FACT] = Fact(tuple(tensor.shape), 0)
            self._kept.append(tensor)
        return self._made[key]

    def _note(self, node: fx.Node, value: Any, macs: int) -> None:
        self._kept.append(value)
        if isinstance(value, Tensor):
            self._nodes[id(value)] = node
            node.meta[FACT] = Fact(tuple(value.shape), macs)
            return
        node.meta[FACT] = Fact(None, macs)
        items = value.items() if isinstance(value, dict) else enumerate(value or ())
        for key, item in items:
            if tensors_in(item):
                self._note(self.graph.call_function(operator.getitem, (node, key)), item, 0)


def _without_pattern(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The same call without a tensor of which only shape and dtype are used: these are known here.

    So what a forward makes for a size (`mask.to(x)`, `torch.zeros_like(x)`) is a constant, and need not cross a cut.
    """
    name = func.__name__
    if name in ("type_as", "expand_as", "view_as", "reshape_as") or (name == "to" and _is_tensor(args, 1)):
        tensor, pattern = args[0], args[1] if len(args) > 1 else kwargs["other"]
        if name in ("type_as", "to"):
            return torch.Tensor.to, (tensor, pattern.dtype), {}
        return getattr(torch.Tensor, name.removesuffix("_as")), (tensor, *pattern.shape), {}
    if name in _MAKE and _is_tensor(args, 0):
        alike = torch.zeros((), dtype=args[0].dtype).expand(args[0].shape)  # takes no memory
        return func, (alike, *args[1:]), kwargs
    return func, args, kwargs


_VALUES = {"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__array__", "__complex__"}
"""Functions that make a Python value of a tensor's data."""

_MAKE = {"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"}
"""Functions that make a constant in the likeness of a tensor."""


def _is_tensor(args: tuple[Any, ...], place: int) -> bool:
    return len(args) > place and isinstance(args[place], Tensor)


def set_item(tensor: Tensor, place: Any, value: Any) -> Tensor:
    """Write into a part of a tensor and return it, so that who uses it comes after."""
    tensor[place] = value
    return tensor
