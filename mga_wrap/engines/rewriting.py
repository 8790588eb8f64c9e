"""Operators that OpenVINO runs slowly on a CPU, replaced in a graph by others that compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def rewrite(model: Any) -> None:
    """Replace what runs slowly, in place.

    * A grouped convolution of one channel in and several out has no fast code. A depthwise one has: so the channels
      are repeated first.
    * Adaptive max pooling has no fast code. Max pooling has: so the axes whose length is a multiple of what is left
      of them are pooled by that first. A maximum of maxima is the maximum, to the bit.

    Args:
        model: an openvino.Model of fixed shapes.
    """
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    for node in model.get_ordered_ops():
        if node.get_type_name() == "GroupConvolution":
            _depthwise(node)
        elif node.get_type_name() == "AdaptiveMaxPool":
            _pooled_first(node)
    model.validate_nodes_and_infer_types()


def _depthwise(node: Any) -> None:
    """Repeat the channels of a grouped convolution, if it has one channel in and several out a group.

    Copies of all channels, one behind the other, are made fastest. They give what comes next its channels in another
    order: a convolution can take them so. For anything else each channel's copies lie beside it, by a slower Gather,
    before the convolution: OpenVINO moves what is added behind a Gather before it, and then adds it in the wrong order.
    """
    from openvino import opset13 as ops

    filters = _values(node.input_value(1))
    if filters is None or filters.shape[1] == 1 or filters.shape[2] != 1:
        return
    groups, copies = filters.shape[:2]
    filters = filters.reshape(groups * copies, 1, 1, *filters.shape[3:])
    order = np.arange(groups * copies).reshape(groups, copies).T.ravel()
    taker = _Taker.of(node, groups * copies)
    if taker is None:
        channels = np.repeat(np.arange(groups), copies)
        repeated = ops.gather(node.input_value(0), channels, np.array(1, np.int64))
        node.output(0).replace(_like(node, repeated, filters).output(0))
    else:
        repeated = ops.concat([node.input_value(0)] * copies, 1)
        taker.take(_like(node, repeated, filters[order]), order)


def _like(node: Any, x: Any, filters: np.ndarray) -> Any:
    """A grouped convolution with a node's options."""
    from openvino import opset13 as ops

    about = node.get_attributes()
    names = ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")
    return ops.group_convolution(x, ops.constant(filters), *(about[name] for name in names))


@dataclass(frozen=True)
class _Taker:
    """The convolution that alone takes what a node gives, with at most a bias added between."""

    convolution: Any
    weights: np.ndarray
    """(out, C, height, width)."""
    bias: np.ndarray | None
    """(1, C, 1, 1)."""

    @classmethod
    def of(cls, node: Any, channels: int) -> _Taker | None:
        """None: something else takes it."""
        bias = None
        after, number = _only_reader(node)
        if after is not None and after.get_type_name() == "Add":
            bias = _values(after.input_value(1 - number))
            if bias is None or bias.shape != (1, channels, 1, 1):
                return None
            after, number = _only_reader(after)
        if after is None or after.get_type_name() != "Convolution" or number != 0:
            return None
        weights = _values(after.input_value(1))
        return None if weights is None else cls(after, weights, bias)

    def take(self, x: Any, order: np.ndarray) -> None:
        """Take x instead, whose channels are in this order."""
        from openvino import opset13 as ops

        if self.bias is not None:
            x = ops.add(x, ops.constant(np.ascontiguousarray(self.bias[:, order])))
        self.convolution.input(0).replace_source_output(x.output(0))
        weights = ops.constant(np.ascontiguousarray(self.weights[:, order]))
        self.convolution.input(1).replace_source_output(weights.output(0))


def _pooled_first(node: Any) -> None:
    """Pool the axes of an adaptive max pooling that can be pooled evenly; what is left to it is less."""
    from openvino import opset13 as ops

    shape, wanted = node.input_value(0).partial_shape, _values(node.input_value(1))
    if (
        wanted is None or shape.is_dynamic or node.output(1).get_target_inputs()
    ):  # places in the map, which would change
        return
    lengths = list(shape.to_shape())[2:]
    steps = [have // want if have % want == 0 else 1 for have, want in zip(lengths, wanted.tolist(), strict=True)]
    if max(steps) > 1:
        none = [0] * len(steps)
        pooled = ops.max_pool(node.input_value(0), steps, [1] * len(steps), none, none, steps)
        node.input(0).replace_source_output(pooled.output(0))


def _only_reader(node: Any) -> tuple[Any, int]:
    """The node that takes what another gives, and as which of its inputs; None if there are several."""
    readers = list(node.output(0).get_target_inputs())
    return (readers[0].get_node(), readers[0].get_index()) if len(readers) == 1 else (None, 0)


def _values(output: Any) -> np.ndarray | None:
    """What lies in a constant."""
    node = output.get_node()
    return np.array(node.data) if node.get_type_name() == "Constant" else None
