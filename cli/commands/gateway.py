"""`kehu gateway`: whose answers from the carrier count, beside those that the network began with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.calling import call
from cli.command import Needs, command
from cli.exits import SIGNED
from cli.output import Answer
from cli.root import group
from cli.run import Run

app = group("gateway", "Enrol and revoke the gateways whose answers from the carrier count.")

Gateway = Annotated[str, typer.Argument(metavar="GATEWAY", help="The gateway's id.")]
Request = Annotated[
    Path, typer.Option("--request", metavar="FILE", help="What `kehu node gateway-key --json` printed.")
]

REQUEST_MALFORMED = define(
    "usage.gateway_request",
    "the request is not what `kehu node gateway-key --json` prints",
    "give --request FILE with that output, of the gateway that the command names",
)
_PARTS = ("gateway", "department", "key", "possession")


def _read_request(file: Path, gateway: str) -> dict[str, Any]:
    """Errors: usage.gateway_request."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
        args = {name: str(found[name]) for name in _PARTS}
        if args["gateway"] != gateway:
            raise KehuError(REQUEST_MALFORMED, problem="the request is of another gateway", gateway=gateway)
        return {**args, "possession": bytes.fromhex(args["possession"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KehuError(REQUEST_MALFORMED, file=str(file), problem=type(error).__name__) from None


@command(
    app,
    "enrol",
    needs=Needs.KEY,
    example="kehu gateway enrol gateway-legal --request gateway.json --as admin",
    json_keys=("gateway", "department", "key", "transaction", "height"),
    exits=SIGNED,
)
async def enrol(run: Run, gateway: Gateway, request: Request) -> Answer:
    """Let a gateway's answers count; its department's node begins at its next start. For administrators."""
    args = _read_request(request, gateway)
    return await call(run, "gateways.enrol", args, {name: args[name] for name in _PARTS[:3]})


@command(
    app,
    "revoke",
    needs=Needs.KEY,
    example="kehu gateway revoke gateway-finance --as admin",
    json_keys=("gateway", "transaction", "height"),
    exits=SIGNED,
)
async def revoke(run: Run, gateway: Gateway) -> Answer:
    """Let a gateway's answers count no more; what it said before stays. For administrators."""
    return await call(run, "gateways.revoke", {"gateway": gateway}, {"gateway": gateway})
