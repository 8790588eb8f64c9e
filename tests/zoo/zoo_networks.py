"""Networks that nobody here wrote: spandrel's, tiny and with random weights, each made by one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

Make = Callable[[], nn.Module]


def of(path: str, *, package: str = "spandrel", **sizes: Any) -> Make:
    """Make a network of spandrel's, e.g. of "SwinIR.__arch.SwinIR:SwinIR", in these sizes."""

    def make() -> nn.Module:
        module, name = f"{package}.architectures.{path}".split(":")
        return getattr(import_module(module), name)(**sizes)

    return make


def new_style_esrgan() -> nn.Module:
    """What spandrel makes of a state dict with the keys of the newer ESRGAN (conv_first, body.0.rdb1.conv1, ...)."""
    from spandrel import ModelLoader

    channels, growth, state = 8, 32, {}

    def conv(name: str, inputs: int, outputs: int) -> None:
        state[f"{name}.weight"] = 0.1 * torch.randn(outputs, inputs, 3, 3)
        state[f"{name}.bias"] = torch.zeros(outputs)

    conv("conv_first", 3, channels)
    for block in range(4):
        for dense in range(1, 4):
            for layer in range(5):
                outputs = growth if layer < 4 else channels
                conv(f"body.{block}.rdb{dense}.conv{layer + 1}", channels + layer * growth, outputs)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        conv(name, channels, channels)
    conv("conv_last", channels, 3)
    return ModelLoader().load_from_state_dict(state).model


SWIN: dict[str, Any] = {
    "depths": (2,) * 4,
    "num_heads": (2,) * 4,
    "embed_dim": 8,
    "window_size": 4,
    "img_size": 16,
    "upscale": 2,
    "upsampler": "pixelshuffle",
}
"""Sizes of the Swin family: four groups of two blocks, the second of which shifts its windows."""
RRDB: dict[str, Any] = {"num_filters": 8, "num_blocks": 4, "scale": 4}
RCAN: dict[str, Any] = {"n_resgroups": 4, "n_resblocks": 2, "n_feats": 8, "reduction": 4, "scale": 2}
PLK: dict[str, Any] = {"dim": 8, "n_blocks": 4, "kernel_size": 5, "upscaling_factor": 2}
FOUR = [2] * 4

ZOO: dict[str, Make] = {
    "ATD": of("ATD.__arch.atd_arch:ATD", **SWIN, category_size=16, num_tokens=8),
    "CRAFT": of("CRAFT.__arch.CRAFT:CRAFT", embed_dim=12, depths=FOUR, upscale=2),
    "DAT": of("DAT.__arch.DAT:DAT", embed_dim=16, depth=FOUR, num_heads=FOUR, img_size=16, upscale=2),
    "DCTLSA": of("DCTLSA.__arch.dctlsa:DCTLSA", nf=20, num_modules=6, upscale=2),
    "DITN": of("DITN.__arch.DITN_Real:DITN_Real", dim=8, ITL_blocks=1, SAL_blocks=1, UFONE_blocks=4, upscale=2),
    "DRCT": of("DRCT.__arch.drct_arch:DRCT", **{**SWIN, "depths": (1,) * 4}, gc=4),
    "DRUNet": of("DRUNet.__arch.network_unet:DRUNet", in_nc=3, out_nc=3, nc=[8, 8, 8, 8], nb=2),
    "ESRGAN": of("ESRGAN.__arch.RRDB:RRDBNet", **RRDB),
    "ESRGAN, new keys": new_style_esrgan,
    "ESRGAN, plus": of("ESRGAN.__arch.RRDB:RRDBNet", **RRDB, plus=True),
    "ESRGAN, unshuffled": of("ESRGAN.__arch.RRDB:RRDBNet", **RRDB, in_nc=12, shuffle_factor=2),
    "FDAT": of("FDAT.__arch.fdat:FDAT", embed_dim=8, depth_per_group=1, num_heads=2, window_size=4, mid_dim=8, scale=2),
    "GRL": of(
        "GRL.__arch.grl:GRL",
        embed_dim=8,
        depths=FOUR,
        num_heads_window=[1] * 4,
        num_heads_stripe=[1] * 4,
        img_size=16,
        window_size=4,
        stripe_size=[4, 4],
        upscale=2,
        upsampler="pixelshuffle",
    ),
    "HAT": of("HAT.__arch.HAT:HAT", **SWIN, compress_ratio=2, squeeze_factor=4, num_feat=8),
    "MoESR": of("MoESR.__arch.MoESR:MoESR", dim=16, n_blocks=4, n_block=1, scale=2, upsample_dim=8),
    "MoSR": of("MoSR.__arch.mosr_arch:MoSR", dim=16, n_block=4, upscale=2),
    "NAFNet": of("NAFNet.__arch.NAFNet_arch:NAFNet", width=8, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
    "OmniSR": of("OmniSR.__arch.OmniSR:OmniSR", num_feat=16, block_num=1, res_num=4, up_scale=2, window_size=4),
    "PLKSR": of("PLKSR.__arch.PLKSR:PLKSR", **PLK),
    "RCAN": of("RCAN.__arch.rcan_arch:RCAN", **RCAN),
    "RCAN, unshuffled": of("RCAN.__arch.rcan_arch:RCAN", **RCAN, unshuffle_mod=True),
    "RGT": of("RGT.__arch.rgt:RGT", embed_dim=8, depth=FOUR, num_heads=FOUR, img_size=16, upscale=2),
    "RealCUGAN x2": of("RealCUGAN.__arch.upcunet_v3:UpCunet2x"),
    "RealCUGAN x3": of("RealCUGAN.__arch.upcunet_v3:UpCunet3x"),
    "RealCUGAN x4": of("RealCUGAN.__arch.upcunet_v3:UpCunet4x"),
    "RealPLKSR": of("PLKSR.__arch.RealPLKSR:RealPLKSR", **PLK),
    "RealPLKSR, DySample": of("PLKSR.__arch.RealPLKSR:RealPLKSR", **PLK, dysample=True, layer_norm=True),
    "SAFMN": of("SAFMN.__arch.safmn:SAFMN", dim=8, n_blocks=4, upscaling_factor=2),
    "SAFMN_BCIE": of("SAFMNBCIE.__arch.safmn_bcie:SAFMN_BCIE", dim=8, n_blocks=4, num_layers=1),
    "SPAN": of("SPAN.__arch.span:SPAN", num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2, img_range=1.0),
    "SRFormer": of("SRFormer.__arch.SRFormer:SRFormer", package="spandrel_extra_arches", **{**SWIN, "window_size": 8}),
    "SRVGGNetCompact": of("Compact.__arch.SRVGG:SRVGGNetCompact", num_feat=8, num_conv=5, upscale=2),
    "SeemoRe": of("SeemoRe.__arch.seemore_arch:SeemoRe", embedding_dim=12, num_layers=4, num_experts=3, scale=2),
    "SwiftSRGAN": of("SwiftSRGAN.__arch.SwiftSRGAN:Generator", num_channels=8, num_blocks=4, upscale_factor=2),
    "Swin2SR": of("Swin2SR.__arch.Swin2SR:Swin2SR", **SWIN),
    "SwinIR": of("SwinIR.__arch.SwinIR:SwinIR", **SWIN),
    "SwinIR, light": of("SwinIR.__arch.SwinIR:SwinIR", **{**SWIN, "upsampler": "pixelshuffledirect"}),
    "SwinIR, real": of(
        "SwinIR.__arch.SwinIR:SwinIR", **{**SWIN, "upscale": 4, "upsampler": "nearest+conv"}, resi_connection="3conv"
    ),
}
"""SRFormer stands in a package of its own, for its licence."""


def build(name: str) -> nn.Module:
    """A network of the zoo with random weights, the same each time, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ZOO[name]().eval()
        for parameter in model.parameters():
            _loosen(parameter)
    return model


@torch.no_grad()
def _loosen(parameter: Tensor) -> None:
    """What starts as a constant (a scale of 0 behind a block) would hide what stands before it."""
    if parameter.numel() > 1 and parameter.std() < 1e-3:
        parameter.add_(0.2 * torch.randn_like(parameter))
