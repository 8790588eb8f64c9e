"""Networks of the package that are not cut, on disk: a folder of model.safetensors and network.json."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from mga_wrap.backbones.registry import create_backbone, describe_backbone
from mga_wrap.checkpoint import WEIGHTS, read_config, read_weights, write_checkpoint
from mga_wrap.errors import ArgumentError, CheckpointError, one_line
from mga_wrap.names import PLAIN, list_students, shipped_folder
from mga_wrap.nets.mga import MGANet
from mga_wrap.origin import Origin, remember

FORMAT = 1


def save_network(model: nn.Module, folder: str | Path) -> None:
    """Write a backbone of the package as it is, not cut; `mga_wrap.networks.load_network` reads it.

    Args:
        model: what `mga_wrap.create_backbone` makes, and `mga_wrap.distill` returns; of an accelerated network the
            one that was cut, as `k="dense"` runs it.
        folder: it is made if it is not there; both files in it are whole or not there.

    Raises:
        ArgumentError: the network is no backbone of the package.
        CheckpointError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> import mga_wrap as mga
        >>> from mga_wrap.networks import load_network
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mga.save_network(mga.create_backbone("student", scale=2), folder)
        ...     load_network(folder).scale
        2
    """
    inner = uncut(model) if isinstance(model, MGANet) else model
    description = None if inner is None else describe_backbone(inner)
    if inner is None or description is None:
        raise ArgumentError(
            f"got a {type(model).__name__}; expected what mga_wrap.create_backbone makes, its options as they are: "
            "save another network's state_dict"
        )
    config = {"format_version": FORMAT, "network": description}
    write_checkpoint(Path(folder), config=config, tensors=inner.state_dict(), config_name=PLAIN)


def uncut(net: MGANet) -> nn.Module | None:
    """The backbone of which an accelerated network of style "pretrained" was cut, with the weights that it has there.

    None where it was none of the package's, or where its layers are not in it as they were.
    """
    layers = {**net.base.state_dict(), **net.refine.state_dict()}
    model = None if net.backbone is None else create_backbone(**net.backbone).eval()
    if model is None or net.config.style != "pretrained" or not model.state_dict().keys() <= layers.keys():
        return None
    model.load_state_dict({name: layers[name] for name in model.state_dict()})
    return model


def is_plain(spec: str) -> bool:
    """Whether a spec is the folder of such a network, or the name of one in the package."""
    return (Path(spec) / PLAIN).is_file() or spec in list_students()


def load_plain(name_or_dir: str | Path) -> nn.Module:
    """Read what `save_network` wrote.

    Args:
        name_or_dir: its folder, or one of `list_students()`.

    Raises:
        CheckpointError: a file is missing or broken, the format is newer, or the weights are of another network.
    """
    folder = Path(name_or_dir)
    if not folder.is_dir():
        folder = shipped_folder(str(name_or_dir))
    config = read_config(folder / PLAIN)
    if config.get("format_version") != FORMAT:
        raise CheckpointError(
            f"{folder / PLAIN} has format {config.get('format_version')!r}, this mga_wrap reads {FORMAT}; update it "
            "with pip install -U mga-wrap"
        )
    try:
        model = create_backbone(**config["network"]).eval()
    except (ArgumentError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / PLAIN} builds no network: {one_line(error)}") from error
    model.load_state_dict(read_weights(folder / WEIGHTS, expected=model.state_dict()))
    said = config["network"]
    remember(model, Origin("backbone", said["name"], args={"scale": said["scale"]}, weights=folder.name))
    return model


def student_for(scale: int) -> str:
    """The name of the package's small network of a scale.

    Raises:
        ArgumentError: there is none.
    """
    name = f"student-x{scale}"
    if name not in list_students():
        raise ArgumentError(
            f"got a network that enlarges by {scale}, for which the package has no student (it has "
            f"{', '.join(list_students()) or 'none'}); give one of this scale: student=..., on the command line "
            "--student; the backbone 'student' learns from nothing"
        )
    return name
