"""Count multiply-accumulates (MACs), activations and parameters of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any, Literal

import torch
from torch import nn
from torch._ops import OpOverload
from torch.func import functional_call
from torch.overrides import BaseTorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mga_wrap.errors import ArgumentError

Convention = Literal["plain", "paper"]
CONVENTIONS: tuple[Convention, ...] = ("plain", "paper")

_PAPER_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_PAPER_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU)


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, trainable or not; one that is shared counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, *inputs: Any, convention: Convention = "plain", **kwargs: Any) -> int:
    """Count the MACs of the call ``module(*inputs, **kwargs)``; the module is left as it was, buffers included.

    Two conventions:

    * ``"plain"``: what is really multiplied and accumulated by convolutions, matrix products and attention, as
      modules or as functions. A transposed convolution costs k * k * Cin * Cout / groups an *input* pixel. No
      biases, activations, poolings, interpolations.
    * ``"paper"``: the rule behind the paper's FLOPs columns (paper section 2). Only ``nn.Conv2d`` and
      ``nn.ConvTranspose2d`` modules, the latter at its price for every *output* pixel, and 1 for each output
      element of every ``nn.ReLU``, ``nn.LeakyReLU`` and ``nn.PReLU`` module.

    A module called several times counts every call, a batch counts every image. The call is made once, without
    gradients and in the mode (train or eval) that the module is in. With module and inputs on the meta device only
    shapes are computed, so that no image is too large.

    Args:
        module: what is called.
        *inputs: its positional arguments.
        convention: ``"plain"`` or ``"paper"``.
        **kwargs: its keyword arguments.

    Raises:
        ArgumentError: the convention is unknown.
    """
    with _counting(module, convention) as counted:
        _call_untouched(module, inputs, kwargs)
        return counted()


def count_activations(module: nn.Module, *inputs: Any, **kwargs: Any) -> int:
    """Count the values that the convolutions of the call ``module(*inputs, **kwargs)`` put out (paper, Table 5).

    Every convolution counts, a transposed one too, as a module or as a function; each call and each image of a batch.
    Nothing else does: no activation functions, products, poolings. The call is made as in `count_macs`.
    """
    with _counting_activations() as counted:
        _call_untouched(module, inputs, kwargs)
        return counted()


@contextmanager
def _counting_activations() -> Iterator[Callable[[], int]]:
    with _Activations() as counter:
        yield lambda: counter.total


class _Activations(TorchDispatchMode):
    """Adds up the sizes of what convolutions return."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in _CONVOLUTIONS:
            self.total += result.numel()
        return result


_CONVOLUTIONS = (torch.ops.aten.convolution, torch.ops.aten._convolution)


def macs_by_module(module: nn.Module, *inputs: Any, convention: Convention = "plain", **kwargs: Any) -> dict[str, int]:
    """Count the MACs of one call, each submodule with its children, as `count_macs` does.

    Returns:
        Dotted names, in the order of ``module.named_modules()``, to MACs; the module itself is ``""``, submodules
        that were not called have 0. A submodule that stands under several names is listed under its first.

    Raises:
        ArgumentError: the convention is unknown.
    """
    return _by_module(module, inputs, kwargs, _counting(module, convention))


def activations_by_module(module: nn.Module, *inputs: Any, **kwargs: Any) -> dict[str, int]:
    """Count as `count_activations` does, each submodule with its children; see `macs_by_module`."""
    return _by_module(module, inputs, kwargs, _counting_activations())


def _by_module(
    module: nn.Module,
    inputs: tuple[Any, ...],
    kwargs: dict[str, Any],
    counting: AbstractContextManager[Callable[[], int]],
) -> dict[str, int]:
    found = {name: 0 for name, _ in module.named_modules()}
    with ExitStack() as stack:
        counted = stack.enter_context(counting)
        for name, child in module.named_modules():
            _bracket(stack, child, name, found, counted)
        _call_untouched(module, inputs, kwargs)
    return found


def _bracket(stack: ExitStack, child: nn.Module, name: str, macs: dict[str, int], counted: Callable[[], int]) -> None:
    """Add what is counted between entering and leaving ``child`` to ``macs[name]``, until ``stack`` closes."""
    entered: list[int] = []

    def enter(*_: Any) -> None:
        entered.append(counted())

    def leave(*_: Any) -> None:
        macs[name] += counted() - entered.pop()

    stack.callback(child.register_forward_pre_hook(enter).remove)
    stack.callback(child.register_forward_hook(leave).remove)


@contextmanager
def _counting(module: nn.Module, convention: str) -> Iterator[Callable[[], int]]:
    """Yield a function that says how many MACs were counted since the context was entered."""
    if convention == "plain":
        with counting_macs() as counted:
            yield counted
    elif convention == "paper":
        with _counting_paper(module) as counted:
            yield counted
    else:
        raise ArgumentError(f"got convention {convention!r}; expected one of {', '.join(CONVENTIONS)}")


class _Macs(TorchDispatchMode):
    """Adds up what convolutions, matrix products and attention multiply, in this thread alone.

    The formulas are torch's. Its own `FlopCounterMode` hangs hooks on the modules of all threads.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads its compiler, a second and a half, only to leave this alone

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        kind = getattr(func, "overloadpacket", func)
        if isinstance(func, OpOverload) and kind not in _WHOLE:
            with self:  # what is made of other operators is counted in these
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if kind in (formulas := _formulas()):
            self.total += int(formulas[kind](*args, **kwargs, out_val=result)) // 2  # two operations a MAC
        return result


_aten = torch.ops.aten
_WHOLE = frozenset(
    {
        torch.ops.prim.device,
        # Nothing that is counted is in them, and taken apart in Python they load sympy, a third of a second.
        *(_aten.upsample_nearest1d, _aten.upsample_nearest2d, _aten.upsample_nearest3d),
        *(_aten.upsample_linear1d, _aten.upsample_bilinear2d, _aten.upsample_trilinear3d, _aten.upsample_bicubic2d),
    }
)
"""Operators that are not taken apart into others."""


@cache
def _formulas() -> dict[Any, Callable[..., int]]:
    """Operations of an operator."""
    from torch.utils.flop_counter import flop_registry  # imports triton where there is one: only when needed

    aten = torch.ops.aten
    attention = flop_registry[aten._scaled_dot_product_flash_attention]
    return {
        **flop_registry,
        aten.mv: lambda a, b, **_: 2 * a.numel(),
        aten.addmv: lambda bias, a, b, **_: 2 * a.numel(),
        aten.dot: lambda a, b, **_: 2 * a.numel(),
        aten.addbmm: lambda bias, a, b, **_: 2 * a.numel() * b.shape[2],
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
        aten._scaled_dot_product_fused_attention_overrideable: attention,
    }


@contextmanager
def counting_macs() -> Iterator[Callable[[], int]]:
    """Yield a function that says how many MACs this thread has run since the context was entered.

    To be entered after a mode of fake tensors. Nothing but this thread is touched: `nn.MultiheadAttention` shows its
    products only where its fast path is closed, and it is closed under any mode of functions.
    """
    with BaseTorchFunctionMode(), _Macs() as counter:
        yield lambda: counter.total


@contextmanager
def _counting_paper(module: nn.Module) -> Iterator[Callable[[], int]]:
    total = 0

    def convolved(conv: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(conv, _PAPER_CONVOLUTIONS)
        rows, columns = conv.kernel_size
        total += output.numel() * rows * columns * conv.in_channels // conv.groups

    def activated(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel()

    with ExitStack() as stack:
        for child in module.modules():
            if isinstance(child, _PAPER_CONVOLUTIONS):
                stack.callback(child.register_forward_hook(convolved).remove)
            elif isinstance(child, _PAPER_ACTIVATIONS):
                stack.callback(child.register_forward_hook(activated).remove)
        yield lambda: total


def _call_untouched(module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Call the module without gradients, on copies of its buffers, and put the random state back.

    In train mode batch normalisation writes its statistics and dropout draws random numbers.
    """
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        functional_call(module, buffers, inputs, kwargs)
