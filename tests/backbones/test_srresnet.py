from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

import mga_wrap as mga
from mga_wrap.backbones import SRResNet
from mga_wrap.counting import count_parameters
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)


@pytest.mark.parametrize(("scale", "parameters"), [(2, 1_102_097), (3, 1_286_737), (4, 1_249_810)])
def test_parameters_equal_the_papers_base_net(scale: int, parameters: int) -> None:
    assert count_parameters(SRResNet(scale=scale, nb=12)) == parameters


def test_sixteen_blocks_are_usual_and_names_are_those_of_the_public_code() -> None:
    names = {name.rpartition(".")[0] for name in SRResNet(scale=4).state_dict()}
    blocks = {f"trunk.{block}.rcb.{layer}" for block in range(16) for layer in (0, 2, 3)}
    steps = {f"upsampling.{step}.upsample_block.{layer}" for step in (0, 1) for layer in (0, 2)}
    assert names == blocks | steps | {"conv1.0", "conv1.1", "conv2.0", "conv3"}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (5, 4)])
def test_sr_has_scale_times_the_sides(scale: int, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        sr = SRResNet(scale=scale, nb=1, nf=8)(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])


class Normalised(SRResNet):
    """As published: every convolution in the body without bias, with batch normalisation behind it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for body in (self.conv2, *(block.rcb for block in self.trunk)):
            for number, layer in enumerate(body):
                if isinstance(layer, nn.Identity):
                    body[number - 1].bias = None
                    body[number] = nn.BatchNorm2d(body[number - 1].out_channels)

    def _load_from_state_dict(self, *args: Any) -> None:
        raise AssertionError("only saved in these tests")


def published() -> Normalised:
    """In eval mode, with statistics of its own."""
    torch.manual_seed(0)
    net = Normalised(scale=2, nf=8, nb=2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.running_var):
                nn.init.uniform_(value, 0.5, 2)
            for value in (module.bias, module.running_mean):
                nn.init.normal_(value)
    return net.eval()


def test_checkpoints_with_batch_normalisation_load_and_give_the_same() -> None:
    theirs, ours, lr = published(), SRResNet(scale=2, nf=8, nb=2), torch.rand(2, 3, 9, 7)
    state = theirs.state_dict()
    before = {name: value.clone() for name, value in state.items()}
    ours.load_state_dict(state, strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(ours(lr), theirs(lr))
    assert state.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state.items())


def test_a_checkpoint_with_batch_normalisation_loads_inside_a_larger_module() -> None:
    theirs = nn.ModuleDict({"net": published()})
    ours = nn.ModuleDict({"net": SRResNet(scale=2, nf=8, nb=2)})
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert not torch.equal(ours["net"].conv2[0].bias, torch.zeros(8))


def test_its_own_checkpoints_load_as_they_are() -> None:
    one, two, lr = SRResNet(scale=3, nf=8, nb=2), SRResNet(scale=3, nf=8, nb=2), torch.rand(1, 3, 5, 5)
    two.load_state_dict(one.state_dict(), strict=True)
    with torch.inference_mode():
        assert torch.equal(one(lr), two(lr))


def leaves_alone(net: nn.Module, lr: Tensor) -> bool:
    before, version = lr.clone(), lr._version
    net(lr)
    return torch.equal(lr, before) and lr._version == version


def test_the_network_traces_and_leaves_its_input_alone() -> None:
    net, lr = SRResNet(scale=4, nf=8, nb=2).eval(), torch.rand(2, 3, 5, 7)
    with torch.no_grad():
        assert torch.equal(fx.symbolic_trace(net)(lr), net(lr))
        assert leaves_alone(net, lr)


def test_dense_is_the_original_bit_for_bit() -> None:
    model, lr = SRResNet(scale=2, nf=8, nb=4).eval(), torch.rand(2, 3, 19, 23)
    net = mga.accelerate(model, split_at="trunk.1", p=8)
    with torch.inference_mode():
        assert torch.equal(net(lr, k="dense"), model(lr))
        assert net(lr, k=0.5).shape == (2, 3, 38, 46)


@pytest.mark.parametrize("scale", [1, 8, "4"])
def test_other_scales_are_refused(scale: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"got scale={scale!r}.*\(2, 3, 4\)"):
        SRResNet(scale=scale)
