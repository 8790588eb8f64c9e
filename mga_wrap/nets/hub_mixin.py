"""What an accelerated network has of every model on the Hugging Face Hub: from_pretrained, push_to_hub."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from huggingface_hub import ModelHubMixin
from torch import nn

from mga_wrap.card import LIBRARY, PIPELINE, TAGS, card_of
from mga_wrap.checkpoint import CONFIG, read_config
from mga_wrap.names import check_repo
from mga_wrap.remote import push

READER = "mga_wrap.hub"
"""The room that builds a network from a checkpoint. It lies below, for it has to cut: so it is named here, as the front
door of the package names what it loads, and not imported."""


class HubMixin(ModelHubMixin, library_name=LIBRARY, pipeline_tag=PIPELINE, tags=list(TAGS)):
    """A `huggingface_hub.ModelHubMixin` whose checkpoints are this package's own: whole or not at all, checked.

    Nothing of the mixin's own reading and writing is used: it would rebuild a network from the arguments of __init__,
    and remove the old config before the new one is written.
    """

    _hub_mixin_config: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # not None: nothing is kept of arguments

    @classmethod
    def from_pretrained(  # type: ignore[override]  # narrower: what is not known is not passed on
        cls,
        name_or_dir: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        model: nn.Module | None = None,
        base: nn.Module | None = None,
    ) -> Self:
        """Read an accelerated network: `mga_wrap.from_pretrained`, which says what each argument is."""
        read: Any = import_module(READER).from_pretrained
        net: Self = read(
            name_or_dir, revision=revision, token=token, local_files_only=local_files_only, model=model, base=base
        )
        return net

    def push_to_hub(  # type: ignore[override]
        self,
        repo: str,
        *,
        private: bool | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        message: str | None = None,
        token: str | None = None,
    ) -> str:
        """Upload the network and a card that says what it is; `mga-wrap push` uploads a measured one's card, too.

        Args:
            repo: "owner/name"; it is made if it is not there.
            private: of a repository that is made; None: as its owner's default is.
            create_pr: propose it instead of committing it.
            revision: the branch; None: main.
            message: of the commit.
            token: None: HF_TOKEN, or what ``hf auth login`` has kept.

        Returns:
            The address of the commit, or of the pull request.

        Raises:
            ArgumentError: repo is no name of a repository.
            CheckpointError: it may not be written, or the Hub cannot be reached.

        Source: huggingface_hub's guide to integrating a library.
        """
        check_repo(repo)
        with TemporaryDirectory() as made:
            folder = Path(made)
            self.save_pretrained(folder)
            card_of(read_config(folder / CONFIG), name=repo).save(folder / "README.md")
            return push(
                folder,
                repo,
                private=private,
                create_pr=create_pr,
                revision=revision,
                message=message,
                token=token,
            )
