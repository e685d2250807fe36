"""podman and podman-compose as an operator uses them, on one network of docker/compose.yaml."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.addresses import free_row
from cli.founding import DEPARTMENTS
from tools.demo.kehu import Kehu

ROOT: Final = Path(__file__).parent.parent.parent
BASE: Final = os.environ.get("KEHU_TEST_BASE", "localhost/python-base:local")
"""Any Debian-like image with Python, pip and venv; CI machines have no registry."""
USER: Final = 10001
ADMIN: Final = "admin"
NODES: Final = tuple(DEPARTMENTS)
CARRIER: Final = "carrier"
COMMAND_TIMEOUT_S: Final = 300


def why_not() -> str | None:
    """What containers need and this machine lacks."""
    if shutil.which("podman") is None:
        return "podman is not installed"
    if os.geteuid() != 0:
        return "the folders of the nodes are given to another user, which only root can do"
    if subprocess.run(["podman", "image", "exists", BASE], check=False, capture_output=True).returncode != 0:
        return f"there is no base image {BASE}; name another by KEHU_TEST_BASE"
    return None


def run(*words: str, env: dict[str, str] | None = None, exits: Sequence[int] = (0,)) -> str:
    """Standard output of a command that must end with one of `exits`."""
    done = subprocess.run(
        words,
        env={**os.environ, **(env or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode in exits, (
        f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-6000:]}"
    )
    return done.stdout


@contextmanager
def built_image() -> Iterator[str]:
    """The image of docker/Dockerfile under a name of its own, gone afterwards."""
    tag = f"localhost/kehu-test-{secrets.token_hex(4)}:latest"
    # --layers=false leaves no intermediate images behind; --format docker keeps the health check.
    options = ("--format", "docker", "--layers=false", "--force-rm", "--network=host", "--build-arg", f"BASE={BASE}")
    try:
        run("podman", "build", "--quiet", *options, "-t", tag, "-f", str(ROOT / "docker/Dockerfile"), str(ROOT))
        yield tag
    finally:
        run("podman", "rmi", "--force", "--ignore", tag)


@dataclass(frozen=True)
class Containers:
    """A running compose project. `kehu` runs the command on the host, in the folder that the nodes' folders lie in."""

    project: str
    image: str
    kehu: Kehu
    env: dict[str, str]

    def compose(self, *words: str, exits: Sequence[int] = (0,)) -> str:
        file = str(ROOT / "docker/compose.yaml")
        command = Path(sys.executable).with_name("podman-compose")
        return run(str(command), "-f", file, *words, env=self.env, exits=exits)

    def name(self, service: str) -> str:
        return f"{self.project}_{service}_1"

    def inspect(self, service: str) -> dict[str, Any]:
        (found,) = json.loads(run("podman", "inspect", self.name(service)))
        return dict(found)

    def python(self, service: str, code: str) -> Any:
        """What a snippet in a running container prints as JSON."""
        return json.loads(run("podman", "exec", self.name(service), "python3", "-c", code))

    def probe(self, network: str, code: str) -> Any:
        """The same in a container that is on one network of the project and on no other."""
        options = ("--rm", "--no-healthcheck", "--network", f"{self.project}_{network}", "--entrypoint", "python3")
        return json.loads(run("podman", "run", *options, self.image, "-c", code))

    def names(self, kind: str) -> list[str]:
        """What there is of the project: of "network" or "volume", or its containers ("container")."""
        words = ("ps", "-a") if kind == "container" else (kind, "ls")
        field = "{{.Names}}" if kind == "container" else "{{.Name}}"
        lines = run("podman", *words, "--format", field).splitlines()
        return [line for line in lines if line.startswith(f"{self.project}_")]


def make_network(image: str, folder: Path) -> Containers:
    """Network folder and keys by the image's own one-shot, as docs/containers.md has it; nothing is started yet."""
    network, kehu = folder / "network", Kehu(folder / "network", folder / "passphrases")
    kehu.passphrases.mkdir(mode=0o700)
    admin = kehu.passphrase_file(ADMIN)
    admin.touch(mode=0o600)
    admin.write_text(secrets.token_urlsafe(12) + "\n", encoding="ascii")
    network.mkdir(mode=0o700)
    for path in (network, admin):
        os.chown(path, USER, USER)
    base = free_row("127.0.0.1", len(NODES) + 1)
    hardened = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--no-healthcheck")
    mounts = ("-v", f"{network}:/network", "-v", f"{admin}:/run/secrets/administrator:ro")
    init = ("network", "init", "/network", "--containers", "--base-port", str(base), "--administrator", ADMIN)
    run("podman", "run", *hardened, *mounts, image, *init, "--passphrase-file", "/run/secrets/administrator")
    project = f"kehutest{secrets.token_hex(4)}"
    env = {"KEHU_PROJECT": project, "KEHU_IMAGE": image, "KEHU_NETWORK_DIR": str(network)}
    for number, service in enumerate((*NODES, CARRIER)):
        env[f"KEHU_PORT_{service.upper()}"] = str(base + number)
    return Containers(project, image, kehu, env)


@contextmanager
def running(containers: Containers) -> Iterator[Containers]:
    """Starts all services; afterwards there is no container, network or volume of the project left."""
    try:
        containers.compose("up", "-d")
        yield containers
    finally:
        containers.compose("down", "-v", "-t", "5", exits=range(256))
        for kind, remove in (("container", ("rm", "-f", "-t", "0")), ("network", ("network", "rm", "-f"))):
            for name in containers.names(kind):
                run("podman", *remove, name, exits=range(256))
