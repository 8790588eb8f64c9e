"""Find the chain of body blocks in a traced network."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import UninitializedParameter

from mga_wrap.errors import ArgumentError, CutError
from mga_wrap.graph.calls import Known, alone_with
from mga_wrap.graph.family import Block, blocks_of, is_container, largest_closed, largest_family, macs_of
from mga_wrap.graph.record import record_blocks
from mga_wrap.graph.trace import ExampleError, GraphRun, Traced, UntraceableError, fact, trace_blocks, unchanged
from mga_wrap.pictures.synthetic import synthetic

EXAMPLE_SIZES = (32, 24), (64, 48), (128, 96)
"""Sides of the images on which a network is tried: unequal, multiples of 8, then of 16, for networks with windows; the
last for those that reflect more of a border than a small image has."""

GROWTH = 128
"""How much larger an image is made, to see which sides of a tensor grow with it; a multiple of every usual window."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A traced copy of a network with its chain of blocks. The graph is not changed any more."""

    name: str
    traced: Traced
    blocks: tuple[Block, ...]
    example: Tensor
    opened: frozenset[str]
    """Dotted names of the modules that the graph looks into."""
    sized: bool
    """The graph holds for the example's shape alone, see `record_blocks`."""
    _at: dict[tuple[int, ...], Chain] = field(default_factory=dict)

    @property
    def lr(self) -> fx.Node:
        """The image that goes in."""
        return next(node for node in self.traced.graph.nodes if node.op == "placeholder")

    @property
    def sr(self) -> fx.Node:
        """The image that comes out."""
        output = next(node for node in reversed(self.traced.graph.nodes) if node.op == "output")
        return output.args[0]

    @property
    def scale(self) -> int:
        """Sides of sr over sides of lr."""
        return _shape(self.sr)[-1] // _shape(self.lr)[-1]

    def at(self, shape: tuple[int, ...]) -> Chain:
        """The chain for images of another shape (B, 3, H, W), its blocks not run and without MACs.

        Raises:
            CutError: the network does not take this shape, or its forward takes another way there.
        """
        if not self.sized:
            return self
        if shape not in self._at:
            self._at[shape] = Template.of(self, hollow=False).chain(shape)
        return self._at[shape]

    @cached_property
    def step(self) -> int:
        """The network takes images whose sides are multiples of this: 1, 2, 4, ...; 1 too where none is smaller."""
        height, width = self.example.shape[-2:]
        step = 1
        while step < min(height, width):
            lr = self.example[..., : height - step, : width - step]
            try:
                with torch.no_grad(), unchanged(self.traced.model):
                    self.traced.model(lr.clone())
            except Exception:  # whatever a forward does with a size that it does not take
                step *= 2
            else:
                return step
        return 1

    @cached_property
    def pads(self) -> bool:
        """The graph holds for every size and pads: an image smaller by a pixel a side has as large a feature."""
        if self.sized:
            return False
        end, run = self.blocks[0].end, GraphRun(self.traced, keep=True)
        try:
            with torch.no_grad(), unchanged(self.traced.model):
                run.run(self.example[..., :-1, :-1].clone())
        except Exception:  # whatever a forward does with a size that it does not take
            return False
        return tuple(run.env[end].shape) == fact(end).shape

    @property
    def grown(self) -> tuple[Chain, Chain, Chain]:
        """The chain for an image that is higher by `GROWTH`, one that is wider, and one image more."""
        batch, channels, height, width = self.example.shape
        shapes = (batch, height + GROWTH, width), (batch, height, width + GROWTH), (batch + 1, height, width)
        taller, wider, more = (self.at((b, channels, h, w)) for b, h, w in shapes)
        return taller, wider, more


@dataclass(frozen=True)
class Template:
    """What is needed to find the chain of a network again for another size of image."""

    name: str
    model: nn.Module
    opened: frozenset[str]
    blocks: tuple[str, ...]
    """The modules that the blocks begin with, in the order of their calls."""
    skipped: frozenset[str]
    """Those of them that return one tensor, of their input's shape: they need not run."""
    dtype: torch.dtype

    @classmethod
    def of(cls, chain: Chain, *, hollow: bool = True) -> Template:
        """The template of a chain: of the same network, or of a hollow copy."""
        model = _hollow(chain.traced.model, chain.example.dtype) if hollow else chain.traced.model
        starts = tuple(str(block.start.target) for block in chain.blocks)
        skipped = frozenset(str(block.start.target) for block in chain.blocks if fact(block.start).shape is not None)
        return cls(chain.name, model, chain.opened, starts, skipped, chain.example.dtype)

    def as_dtype(self, dtype: torch.dtype) -> Template:
        """The template of the network in another dtype."""
        with alone_with(self.model):
            return replace(self, model=_hollow(self.model, dtype), dtype=dtype)

    def chain(self, shape: tuple[int, ...]) -> Chain:
        """The chain for images of a shape."""
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        lr = torch.empty(shape, dtype=self.dtype, device=device)
        names = frozenset(self.blocks)
        traced = record_blocks(self.model, lr, opened=self.opened, skipped=self.skipped)
        calls = [node for node in traced.graph.nodes if node.op == "call_module" and node.target in names]
        if tuple(str(node.target) for node in calls) != self.blocks:
            raise CutError(
                f"for an image of {tuple(shape)} {self.name} calls other blocks than for the example; expected the "
                "same chain at every size"
            )
        return Chain(self.name, traced, blocks_of(traced, calls), lr, self.opened, sized=True)


def _hollow(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy on the CPU whose parameters have a shape but take no memory."""
    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        kind = dtype if tensor.is_floating_point() else tensor.dtype
        if isinstance(tensor, nn.Parameter):
            empty = torch.zeros((), dtype=kind).expand(tensor.shape)
            memo[id(tensor)] = nn.Parameter(empty, requires_grad=tensor.requires_grad and empty.is_floating_point())
        else:
            memo[id(tensor)] = tensor.detach().to("cpu", kind)
    return copy.deepcopy(model, memo)


def find_chain(model: nn.Module, *, example: Tensor | None = None, sized: bool | None = None) -> Chain:
    """Trace a copy of a network, opening modules only as far as needed to see its chain of blocks.

    Blocks are calls of like modules, one after the other, that keep the shape of the feature. Of several such
    families the one with the most MACs is the body.

    Args:
        model: lr -> sr; neither it nor anything in it is changed.
        example: (B, 3, H, W) to try the network on; by default a picture of 32 x 24, or a larger one where
            the network does not take that.
        sized: False: by torch.fx, whose graph holds for every size. True: for one size at a time. None: by torch.fx
            if that is possible.

    Raises:
        CutError: there is no such chain, or the network is no SR network.
    """
    if sized is None:
        try:
            return find_chain(model, example=example, sized=False)
        except UntraceableError:
            return find_chain(model, example=example, sized=True)
    _refuse(model)
    try:
        model = copy.deepcopy(model).eval()
    except Exception as error:  # whatever a module holds that cannot be copied, e.g. the old weight_norm's tensors
        raise CutError(
            f"{type(model).__name__} cannot be copied ({error}); remove what it cannot copy, e.g. with "
            "torch.nn.utils.remove_weight_norm"
        ) from error
    if not isinstance(example, Tensor | None):
        raise ArgumentError(f"got example of type {type(example).__name__}; expected a tensor (B, 3, H, W)")
    example, (traced, family, opened) = _first_taken(model, example, sized)
    chain = Chain(
        name=type(model).__name__,
        traced=traced,
        blocks=blocks_of(traced, family),
        example=example,
        opened=opened,
        sized=sized,
    )
    _check_image(chain)
    return chain


def _refuse(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise CutError(f"got a {type(model).__name__}; expected an nn.Module that turns lr into sr")
    if isinstance(model, torch.jit.ScriptModule):
        raise CutError("got a scripted module, which has no Python forward to trace; give the module it was made from")
    wrapped = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
    inner = "module" if wrapped else "_orig_mod"  # torch.compile keeps the network there
    if wrapped or inner in model._modules:
        raise CutError(f"got a {type(model).__name__}; give the network inside it: accelerate(model.{inner}, ...)")
    own = model.named_parameters(remove_duplicate=False)
    if lazy := next((name for name, one in own if isinstance(one, UninitializedParameter)), None):
        raise CutError(
            f"{type(model).__name__} has parameters without a shape ({lazy}), of lazy modules; expected a trained "
            "network: run it once on an image, and load its weights"
        )


_Found = tuple[Traced, list[fx.Node], frozenset[str]]


def _first_taken(model: nn.Module, example: Tensor | None, sized: bool) -> tuple[Tensor, _Found]:
    """The example, or the first default one that the network takes, and what was found with it."""
    if example is not None:
        return example, _open_until_chain(model, example, sized)
    refused = None
    for size in EXAMPLE_SIZES:
        image = _default_example(model, size)
        try:
            return image, _open_until_chain(model, image, sized)
        except ExampleError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _default_example(model: nn.Module, size: tuple[int, int]) -> Tensor:
    """An image in the network's dtype and on its device, the same each time."""
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        raise CutError(f"{type(model).__name__} has no parameters; expected a trained super-resolution network")
    return synthetic(*size).to(device=weight.device, dtype=weight.dtype)


def _open_until_chain(model: nn.Module, example: Tensor, sized: bool) -> _Found:
    opened: frozenset[str] = frozenset()
    known = Known()
    while True:
        traced = (record_blocks if sized else trace_blocks)(model, example, opened=opened, known=known)
        family = largest_family(traced)
        closed = largest_closed(traced, family)
        if closed is None:
            break
        if family and macs_of(family) >= fact(closed).macs and not is_container(traced, closed):
            break
        opened |= {str(closed.target)}
    if not family:
        raise CutError(_no_chain(model, traced))
    return traced, family, opened


def _check_image(chain: Chain) -> None:
    lr, sr = _shape(chain.lr), _shape(chain.sr)
    scale = sr[-1] // lr[-1]
    if sr[:2] != lr[:2] or scale < 1 or sr[2:] != (scale * lr[2], scale * lr[3]):
        raise CutError(
            f"the network turns {lr} into {sr}; expected a super-resolution network: the same batch and channels, "
            "both sides larger by one whole number"
        )


def _shape(node: fx.Node) -> tuple[int, ...]:
    shape = fact(node).shape
    if shape is None:
        raise CutError(f"{node.name} is no tensor; expected an image")
    return shape


def _no_chain(model: nn.Module, traced: Traced) -> str:
    calls = [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]
    shown = ", ".join(calls[:8]) + (", ..." if len(calls) > 8 else "")
    return (
        f"{type(model).__name__} has no chain of body blocks: found the modules {shown or 'none'}. Expected a head, at "
        "least two like blocks one after the other that keep the feature's shape, and an upsampling tail. U-Nets, "
        "up-and-down networks and classifiers have no such chain; where the blocks are written as plain functions, "
        "make them modules."
    )
