"""A network in eval mode, without a touch on the one that is given."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

from mga_wrap.errors import ArgumentError, one_line

Net = TypeVar("Net", bound=nn.Module)


def in_eval_mode(net: Net) -> Net:
    """The network itself where it is in eval mode, else a copy that is and that shares its weights and buffers.

    To turn the given one into eval mode and back would show in every other thread that runs or trains it. The copy is
    made anew each time, so it has the attributes and hooks of this moment; weights take no memory twice. Hooks that
    are methods of an object outside of the network still reach that object.

    Raises:
        ArgumentError: it is in train mode and cannot be copied.
    """
    modules = list(net.modules())
    if not any(module.training for module in modules):
        return net
    # Not only the registered ones: what old weight_norm or a forward leaves on a module may have a gradient's history,
    # which deepcopy refuses.
    shared: list[object] = [*net.parameters(), *net.buffers()]
    shared += [value for module in modules for value in vars(module).values() if isinstance(value, Tensor)]
    shared += _owners_of_hooks(modules)
    try:
        twin = copy.deepcopy(net, {id(thing): thing for thing in shared})
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise ArgumentError(
            f"got {type(net).__name__} in train mode, of which no copy in eval mode can be made ({one_line(error)}); "
            "call model.eval() first"
        ) from error
    for mine, its in zip(modules, twin.modules(), strict=True):
        if (forward := vars(mine).get("forward")) is not None and vars(its).get("forward") is forward:
            raise ArgumentError(
                f"got {type(net).__name__} in train mode with a function in place of a forward, which may hold on to "
                "the module it was made for; call model.eval() first"
            )
        its.training = False  # not .eval(): one that merges weights meanwhile would merge them in the caller's, too
    return twin


def _owners_of_hooks(modules: list[nn.Module]) -> list[object]:
    """The objects outside of the network whose methods are hooks in it."""
    hooks = [
        hook for module in modules for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    ]
    inside = {id(module) for module in modules}
    owners = [owner for hook in hooks if (owner := getattr(hook, "__self__", None)) is not None]
    return [owner for owner in owners if id(owner) not in inside]
