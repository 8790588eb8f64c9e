"""An accelerated network as one file that spandrel reads, and with it whatever reads its networks by spandrel.

spandrel sees the tensors of a file and nothing else. So what stands in the config.json of a checkpoint is a tensor,
and so are the names by which spandrel knows the network that was accelerated, where that is one of its own.
"""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mga_wrap.checkpoint import check_header, check_tensors, parse_config
from mga_wrap.cut.graphs import LIGHT
from mga_wrap.errors import ArgumentError, CheckpointError, MGAError, UnfittedWarning, one_line
from mga_wrap.files import whole_file
from mga_wrap.hub import built, small_of
from mga_wrap.nets.mga import MGANet
from mga_wrap.origin import unwrapped
from mga_wrap.pictures.synthetic import synthetic
from mga_wrap.saved import check_config

ARCHITECTURE = "mga_wrap"
"""The identifier in spandrel's registry."""
CONFIG, ORIGINALS = "mga_wrap.config", "mga_wrap.originals"
"""Tensors of bytes, which are JSON: config.json, and the names of the originals' tensors."""
KEPT = "mga_wrap.kept."
"""Before the names of an original's tensors that the accelerated network does not hold."""
OURS = "mga_wrap."
Places = Mapping[str, tuple[str, ...]]
CUT: Places = {"model": ("base", "refine")}
PAIR: Places = {"model": ("refine.model",), "base": ("base.small",)}
"""Where an accelerated network, cut or a pair, holds its original's tensors and the small one's; the last one counts.

Layers of a cut may be in both parts: those of the coarse tail may have learned, those of the Refine-Net are the user's.
"""
_CONSTANT = re.compile(r"_tensor_constant\d+")
LARGEST_TEXT = 1_000_000
"""Bytes of config or names."""


@torch.inference_mode(False)
def save_single_file(net: MGANet, path: str | Path, *, original: nn.Module | None = None) -> None:
    """Write an accelerated network as one .safetensors file, which spandrel reads after `mga_wrap.spandrel.install()`.

    Args:
        net: made from a backbone of this package or from a network that spandrel knows; not changed.
        path: a .safetensors file. It appears when it has been read again and gives the image of `net`, bit for bit.
        original: the network before it was accelerated; needed where it holds tensors that its forward does not use,
            by which spandrel knows it.

    Raises:
        ArgumentError: path is no .safetensors, or net is not accelerated.
        CheckpointError: the file cannot be written, or would not be the same network; no file is left.
        MGAError: net is no backbone of this package, and spandrel is not installed.

    Example:
        ```python
        mga.save_single_file(net, "fast.safetensors")
        ```
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise ArgumentError(f"got {path}; expected the name of a .safetensors file")
    if not isinstance(net, MGANet):
        raise ArgumentError(f"got {type(net).__name__}; expected an accelerated network, see mga_wrap.accelerate")
    config = net.saved_config()
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}
    names, kept = _originals(config, tensors, None if original is None else unwrapped(original))
    content = {**tensors, CONFIG: _bytes(config), ORIGINALS: _bytes(names), **{KEPT + k: v for k, v in kept.items()}}
    try:
        with whole_file(path) as part:
            part.write_bytes(save(content, metadata={"format": "pt"}))
            _check_same(net, read_tensors(load_file(part), path), path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written ({error}); choose another file") from error


def is_single_file(path: Path) -> bool:
    """Whether a file holds a whole accelerated network."""
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return False
    check_header(path)
    with safe_open(path, framework="pt") as file:
        return CONFIG in set(file.keys())


def load_single_file(path: Path) -> MGANet:
    """Read what `save_single_file` wrote.

    Raises:
        CheckpointError: the file is broken, or holds another network than it says.
        MGAError: it was made from a network of spandrel's own, and spandrel is not installed.
    """
    check_header(path)
    return read_tensors(load_file(path), path)


def read_tensors(found: Mapping[str, Tensor], path: Path) -> MGANet:
    """The accelerated network that a state dict holds, in eval mode; its config is checked as a config.json is.

    Args:
        found: what `save_single_file` puts into a file.
        path: where it stood, for the message.

    Raises:
        CheckpointError: it holds something else.
    """
    return _read(found, path)[0]


def _read(found: Mapping[str, Tensor], path: Path) -> tuple[MGANet, Any]:
    """The network, and what spandrel says of the sizes that its original takes, if that is one of spandrel's own."""
    config = check_config(parse_config(_text(found, CONFIG, path), path), path)
    names = parse_config(_text(found, ORIGINALS, path), path)
    known, small = (_known(_named(found, names.get(part), _places(config).get(part, ()), path), path) for part in PAIR)
    if config["backbone"] is None and known is None:
        raise CheckpointError(f"{path} does not say of which tensors its original is; expected what mga_wrap wrote")
    model = None if known is None or config["backbone"] else known.model
    base = None if small is None else small.model
    net = built(config, path, model, lambda: small_of(config.get("base"), base, path, lambda origin: None))
    tensors = {name: value for name, value in found.items() if not name.startswith(OURS)}
    check_tensors(tensors, net.state_dict(), path=path)
    net.load_state_dict(tensors)
    return net, None if known is None else known.size_requirements


def install(registry: Any = None) -> None:
    """Teach spandrel to read such files: `spandrel.ModelLoader().load_from_file(path)` then gives the network.

    Args:
        registry: a spandrel.ArchRegistry; None: spandrel.MAIN_REGISTRY, which every program in this process uses that
            reads networks by spandrel, ComfyUI and chaiNNer among them. To install twice changes nothing.

    Raises:
        MGAError: spandrel is not installed.
    """
    spandrel = _spandrel("mga_wrap.spandrel.install")

    class MGAArchitecture(spandrel.Architecture):  # type: ignore[misc,name-defined]  # spandrel is loaded when asked for
        """Accelerated networks."""

        def __init__(self) -> None:
            super().__init__(id=ARCHITECTURE, name="MGA", detect=lambda state: CONFIG in state)

        def load(self, state_dict: dict[str, Any]) -> Any:
            """The network's descriptor."""
            net, sizes = _read(state_dict, Path("the file"))
            channels, (inside, blocks) = net.geometry.channels, net.geometry.blocks
            return spandrel.ImageModelDescriptor(
                net,
                net.state_dict(),
                architecture=self,
                purpose="SR",
                tags=["pair" if net.is_pair else f"{inside} of {blocks} blocks", f"k={net.k}"],
                supports_half=False,
                supports_bfloat16=False,
                scale=net.scale,
                input_channels=channels,
                output_channels=channels,
                size_requirements=sizes,
            )

    registry = spandrel.MAIN_REGISTRY if registry is None else registry
    if ARCHITECTURE not in registry:
        others = tuple(one.architecture.id for one in registry)  # some of which take a file by a name or two
        registry.add(spandrel.ArchSupport.from_architecture(MGAArchitecture(), before=others))


# ------------------------------------------------------------------------------------------------------- the originals
def _originals(
    config: dict[str, Any], tensors: dict[str, Tensor], original: nn.Module | None
) -> tuple[dict[str, list[str]], dict[str, Tensor]]:
    """The names of the originals' tensors, part by part, and those tensors that the accelerated network lacks."""
    names: dict[str, list[str]] = {}
    kept: dict[str, Tensor] = {}
    if config["backbone"] is None:
        inside = _inside(tensors, _places(config)["model"])
        if original is not None:
            state = {name: value.detach().cpu().contiguous().clone() for name, value in original.state_dict().items()}
            kept = {k: v for k, v in state.items() if k not in inside or inside[k].shape != v.shape}
            names["model"] = list(state)
        else:
            names["model"] = [
                name for name in inside if not (name.startswith(f"{LIGHT}.") or _CONSTANT.fullmatch(name))
            ]
    small = config.get("base")
    if small is not None and small["backbone"] is None:
        names["base"] = list(_inside(tensors, PAIR["base"]))
    return names, kept


def _places(config: dict[str, Any]) -> Places:
    return CUT if config.get("base") is None else PAIR


def _inside(tensors: Mapping[str, Tensor], places: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of an original in an accelerated network, by the names that they have there."""
    found: dict[str, Tensor] = {}
    for place in places:
        found |= {name[len(place) + 1 :]: x for name, x in tensors.items() if name.startswith(f"{place}.")}
    return found


def _named(found: Mapping[str, Tensor], wanted: Any, places: tuple[str, ...], path: Path) -> dict[str, Tensor] | None:
    """The state dict of an original, of these names; None where the file names none."""
    if wanted is None:
        return None
    inside = _inside(found, places)
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise CheckpointError(f"{path} holds something else than names of tensors; expected what mga_wrap wrote")
    kept = {name: found[KEPT + name] for name in wanted if KEPT + name in found}
    missing = [name[:100] for name in wanted if (name not in inside and name not in kept) or name.startswith(OURS)]
    if missing:
        raise CheckpointError(f"{path} lacks the tensor {missing[0]!r} of its original; expected what mga_wrap wrote")
    return {name: kept[name] if name in kept else inside[name] for name in wanted}


def _known(tensors: dict[str, Tensor] | None, path: Path) -> Any:
    """The descriptor of the network of spandrel's own with these tensors; None for none."""
    if tensors is None:
        return None
    spandrel = _spandrel(str(path))
    try:
        found = spandrel.MAIN_REGISTRY.load(tensors)
        found.model.float().eval()
    except Exception as error:  # whatever a file of something else makes of the detectors of networks
        raise CheckpointError(
            f"spandrel does not know the network of which {path} was made ({type(error).__name__}: {one_line(error)}); "
            "expected one of its own, all of whose tensors are used: else give save_single_file original=, the "
            "network before it was accelerated, or save_pretrained a folder"
        ) from error
    return found


def _check_same(net: MGANet, again: MGANet, path: Path) -> None:
    """A file that would be another network is not written."""
    side = 2 * (net.p + 2 * net.halo) + 3
    lr = synthetic(side, side + 8, channels=net.geometry.channels)
    net = copy.deepcopy(net).cpu().float().eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnfittedWarning)
        same = all(torch.equal(net(lr, k=k), again(lr, k=k)) for k in (0, "all"))
    if not same:
        raise CheckpointError(f"{path} would hold another network than the one that was given; it was not written")


# ---------------------------------------------------------------------------------------------------------------- texts
def _bytes(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _text(found: Mapping[str, Tensor], name: str, path: Path) -> bytes:
    tensor = found.get(name)
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.uint8 or tensor.ndim != 1:
        raise CheckpointError(f"{path} lacks {name}, bytes; expected the file that save_single_file wrote")
    if len(tensor) > LARGEST_TEXT:
        raise CheckpointError(f"{path} has more than {LARGEST_TEXT:,} bytes in {name}; expected some hundreds")
    return tensor.cpu().numpy().tobytes()


def _spandrel(what: str) -> Any:
    try:
        import spandrel
    except ImportError as error:
        raise MGAError(f"{what} needs spandrel, which is not installed; pip install 'mga-wrap[spandrel]'") from error
    return spandrel
