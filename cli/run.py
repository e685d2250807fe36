"""What one run of a command has at hand: the common options, and what follows from them when it is asked for."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from chain.errors import KehuError
from cli.asking import interruptible
from cli.profile import KEY_NAME_MISSING, KeyFile, Profile

if TYPE_CHECKING:
    from chain.crypto import SigningKey
    from cli.client import NodeClient


@dataclass
class Run:
    """The common options of one run; a command gets those it needs, the rest stay unset."""

    network: Path | None = None
    node: str | None = None
    as_: str | None = None
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None
    is_json: bool = False

    @cached_property
    def profile(self) -> Profile:
        return Profile.open(self.network or Path())

    @cached_property
    def key_file(self) -> KeyFile:
        if self.as_ is None:
            raise KehuError(KEY_NAME_MISSING)
        return self.profile.find_key(self.as_)

    @cached_property
    def key(self) -> SigningKey:
        """The signer's key, opened with the passphrase from wherever the options say."""
        from node.keys.files import load_key

        return load_key(self.key_file.path, self.passphrase(f"Passphrase of {self.key_file.name}"))

    def passphrase(self, prompt: str, *, is_new: bool = False) -> str:
        """From --passphrase-file, --passphrase-fd or, on a terminal, a prompt (a new one is asked for twice)."""
        from node.keys.passphrase import read_passphrase

        file, fd = self.passphrase_file, self.passphrase_fd
        if fd is not None and file is not None and str(file) == os.environ.get("KEHU_PASSPHRASE_FILE"):
            file = None  # the command line goes before the environment
        with interruptible():
            if file is not None or fd is not None:
                return read_passphrase(file=file, fd=fd)
            return read_passphrase(prompt=prompt if sys.stdin.isatty() else None, confirm=is_new)

    def client(self) -> NodeClient:
        """The client of the signer's department's node, or of the one that --node names; it holds the signer's key."""
        from cli.client import NodeClient

        node = self.node or self.key_file.department
        department = node if node in self.profile.nodes else self.key_file.department
        return NodeClient(self.profile.node_url(node), self.profile.genesis, department, self.key)

    def reader(self) -> NodeClient:
        """A client without a key, of the node that --node names or else of the first in network.json."""
        from cli.client import NodeClient

        node = self.node or min(self.profile.nodes, default="")
        return NodeClient(self.profile.node_url(node), self.profile.genesis, node, None)
