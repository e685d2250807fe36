"""`kehu`: all commands in one tree."""

from __future__ import annotations

import sys
import traceback

from cli.commands import (
    audit,  # noqa: F401 - adds itself to the root
    backup,  # noqa: F401
    carrier,
    check,  # noqa: F401
    customer,
    customer_import,  # noqa: F401
    customer_read,  # noqa: F401
    doctor,  # noqa: F401
    erasure,
    evidence,
    export,  # noqa: F401
    feedback,
    invitation,  # noqa: F401
    key,
    log,
    login,  # noqa: F401
    member,
    network,
    node,
    org,
    own,
    participation,
    payment,
    people,
    permissions,  # noqa: F401
    phone,
    progress,
    project,
    project_map,  # noqa: F401
    proof,  # noqa: F401
    protocol,
    relation,
    status,  # noqa: F401
    tx,
    vault,
    why,  # noqa: F401
)
from cli.exits import Exit
from cli.root import app

for name, commands in (
    ("network", network.app),
    ("node", node.app),
    ("member", member.app),
    ("protocol", protocol.app),
    ("carrier", carrier.app),
    ("key", key.app),
    ("people", people.app),
    ("customer", customer.app),
    ("own", own.app),
    ("phone", phone.app),
    ("log", log.app),
    ("tx", tx.app),
    ("org", org.app),
    ("dept", org.dept),
    ("relation", relation.app),
    ("project", project.app),
    ("participation", participation.app),
    ("progress", progress.app),
    ("demand", progress.demand),
    ("payment", payment.app),
    ("feedback", feedback.app),
    ("erasure", erasure.app),
    ("evidence", evidence.app),
    ("vault", vault.app),
):
    app.add_typer(commands, name=name)


def main() -> None:
    """The console script. What nobody foresaw is a defect: a traceback, and an exit code of its own."""
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.stderr.write("This is a defect of Kehu. Please report it with the lines above.\n")
        sys.exit(Exit.DEFECT)


if __name__ == "__main__":
    main()
