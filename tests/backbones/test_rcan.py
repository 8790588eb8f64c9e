from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import fx, nn

import mga_wrap as mga
from mga_wrap.backbones import RCAN
from mga_wrap.counting import count_parameters
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)
TINY: dict[str, Any] = {"n_resgroups": 3, "n_resblocks": 2, "n_feats": 16, "reduction": 4}


def tiny(scale: int, **more: Any) -> RCAN:
    return RCAN(scale=scale, **TINY | more).eval()


@pytest.mark.parametrize(("scale", "parameters"), [(2, 10_867_699), (3, 11_052_339), (4, 11_015_411)])
def test_parameters_equal_the_papers_base_net(scale: int, parameters: int) -> None:
    with torch.device("meta"):
        assert count_parameters(RCAN(scale=scale, n_resgroups=7)) == parameters


@pytest.mark.parametrize(("scale", "enlarger"), [(2, {"tail.0.0"}), (3, {"tail.0.0"}), (4, {"tail.0.0", "tail.0.2"})])
def test_names_are_those_of_the_authors_code(scale: int, enlarger: set[str]) -> None:
    with torch.device("meta"):
        net = RCAN(scale=scale, rgb_range=255)
    got = {name.rpartition(".")[0] for name in net.state_dict()}
    expected = {"sub_mean", "add_mean", "head.0", "body.10", "tail.1"} | enlarger
    for group in range(10):
        expected.add(f"body.{group}.body.20")
        for block in range(20):
            of_block = f"body.{group}.body.{block}.body"
            expected |= {f"{of_block}.{layer}" for layer in ("0", "2", "3.conv_du.0", "3.conv_du.2")}
    assert got == expected


def test_without_a_range_there_is_no_mean_shift() -> None:
    assert not any("mean" in name for name in tiny(2).state_dict())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (5, 4)])
def test_sr_has_scale_times_the_sides(scale: int, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert tiny(scale)(torch.rand(2, 3, *size)).shape == (2, 3, scale * size[0], scale * size[1])


def test_a_range_is_inside_only_and_the_mean_colour_is_taken_off() -> None:
    net, shifted = tiny(2), tiny(2, rgb_range=255)
    shifted.load_state_dict(net.state_dict(), strict=False)
    lr = torch.rand(1, 3, 6, 5)
    mean = 255 * torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(shifted(lr), (net(255 * lr - mean) + mean) / 255)
    assert not any(parameter.requires_grad for parameter in shifted.sub_mean.parameters())


def test_res_scale_weighs_what_a_block_adds() -> None:
    lr, one, none = torch.rand(1, 3, 6, 5), tiny(2), tiny(2, res_scale=0.0)
    none.load_state_dict(one.state_dict())
    for module in one.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.out_channels == 16:
            nn.init.zeros_(module.weight)
            nn.init.constant_(module.bias, -1e9)  # the attention lets nothing through
    with torch.inference_mode():
        torch.testing.assert_close(none(lr), one(lr))


@pytest.mark.parametrize("rgb_range", [None, 255])
def test_the_network_traces_and_leaves_its_input_alone(rgb_range: float | None) -> None:
    net, lr = tiny(4, rgb_range=rgb_range), torch.rand(2, 3, 5, 7)
    before, version = lr.clone(), lr._version
    with torch.no_grad():
        assert torch.equal(fx.symbolic_trace(net)(lr), net(lr))
    assert torch.equal(lr, before)
    assert lr._version == version


@pytest.mark.parametrize("rgb_range", [None, 255])
def test_groups_are_its_blocks_and_dense_is_the_original(rgb_range: float | None) -> None:
    model, lr = tiny(2, rgb_range=rgb_range), torch.rand(2, 3, 19, 23)
    net = mga.accelerate(model, split_at="body.1", p=8)
    assert [block.name for block in mga.inspect(model).blocks] == ["body.0", "body.1", "body.2"]
    with torch.inference_mode():
        assert torch.equal(net(lr, k="dense"), model(lr))
        assert net(lr, k=0.5).shape == (2, 3, 38, 46)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": 8}, r"got scale=8.*\(2, 3, 4\)"), ({"scale": 2, "rgb_range": -1}, "got rgb_range=-1.*positive")],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RCAN(**options)
