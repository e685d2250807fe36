"""`kehu invite`, `kehu uninvite`, `kehu enrol`: how customers get keys of their own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.asking import read_stdin
from cli.calling import call
from cli.command import Needs, command
from cli.commands.key import PassphraseFd, PassphraseFile
from cli.exits import SIGNED, RemoteRefusal
from cli.options import Customer
from cli.output import Answer, Screen
from cli.root import app
from cli.run import Run
from cli.times import read_expiry

if TYPE_CHECKING:
    from chain.crypto import SigningKey
    from cli.client import NodeClient
    from cli.invitation import Invitation
    from cli.verify import Committed

_OVER = "invitation.over"


@command(
    app,
    "invite",
    needs=Needs.KEY,
    example="kehu invite c-1f… --expires 14d --as admin",
    json_keys=("customer", "invitation", "expires_ms", "transaction", "height"),
    exits=SIGNED,
)
async def invite(
    run: Run,
    customer: Customer,
    expires: Annotated[
        str, typer.Option("--expires", metavar="WHEN", help="A date, a time, or 14d, 12h from now; at most 90 days.")
    ] = "14d",
) -> Answer:
    """Invite a customer to enrol a key: shows a one-time code to hand over. For administrators.

    The code is shown once and stands nowhere else; the chain has a digest. An older invitation of theirs is void.
    """
    from cli.invitation import Invitation

    invitation = Invitation.draw(customer)
    async with run.client() as client:
        committed = await client.execute([invitation.invite_call(read_expiry(expires))])
    data = {
        "customer": customer,
        "invitation": invitation.text,
        "expires_ms": committed.result()["expires_ms"],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }

    def show(screen: Screen) -> None:
        screen.facts(data.items())
        screen.line("The customer enrols, with genesis.json and network.json: kehu enrol --invitation …")

    return Answer(data, show)


@command(
    app,
    "uninvite",
    needs=Needs.KEY,
    example="kehu uninvite c-1f… --as admin",
    json_keys=("customer", "transaction", "height"),
    exits=SIGNED,
)
async def uninvite(run: Run, customer: Customer) -> Answer:
    """Withdraw a customer's open invitation. Who has redeemed it is revoked with `kehu people revoke`."""
    return await call(run, "customers.withdraw_invitation", {"customer": customer}, {"customer": customer})


@command(
    app,
    "enrol",
    needs=Needs.NODE,
    example="kehu enrol --invitation c-1f….K7QZ-…",
    json_keys=("customer", "key", "revoked", "file", "transaction", "height"),
    exits=SIGNED,
)
async def enrol(
    run: Run,
    invitation: Annotated[
        str, typer.Option("--invitation", metavar="TEXT", help="As the administration gave it; - reads it from stdin.")
    ],
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> Answer:
    """Come in as a customer: makes a sealed key on this machine and redeems the invitation with it.

    Run it again if the outcome stayed unknown: the key file that is there is used, and what became of the first try is
    shown.
    """
    from cli.invitation import Invitation

    redeemed = Invitation.from_text(read_stdin() if invitation == "-" else invitation)
    run.passphrase_file, run.passphrase_fd = passphrase_file, passphrase_fd
    key, path = _key_of(run, redeemed.customer)
    async with _client(run, key) as client:
        committed = await _redeem(client, redeemed, key)
    data = {
        "customer": redeemed.customer,
        "key": key.public.hex(),
        "revoked": committed.result()["revoked"],
        "file": str(path),
        "transaction": committed.transaction_id,
        "height": committed.height,
    }

    def show(screen: Screen) -> None:
        screen.facts(data.items())
        screen.line(f"You are enrolled: kehu own show --as {redeemed.customer}")

    return Answer(data, show)


async def _redeem(client: NodeClient, invitation: Invitation, key: SigningKey) -> Committed:
    """The redemption, or that of an earlier try with the same key whose outcome stayed unknown."""
    try:
        return await client.execute([invitation.redeem_call(client.genesis.chain_id, key)])
    except RemoteRefusal as refusal:
        if refusal.code != _OVER:
            raise
        try:
            row, _ = await client.state("invitations", invitation.customer)
        except RemoteRefusal:
            raise refusal from None  # this key is nobody's
        ended = (row or {}).get("ended") or {}
        earlier = await client.find(ended["transaction"]) if ended.get("key") == key.public.hex() else None
        if earlier is None:
            raise
        return earlier


def _key_of(run: Run, customer: str) -> tuple[SigningKey, Path]:
    """The key in the customer's key file, which is made if there is none."""
    from chain.crypto import SigningKey
    from contracts.base import ADMINISTRATION
    from node.keys.files import create_key_file, load_key

    path = run.profile.key_path(ADMINISTRATION, customer)
    if path.exists():
        return load_key(path, run.passphrase(f"Passphrase of {customer}")), path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(path, "person", customer, run.passphrase(f"New passphrase of {customer}", is_new=True), key.seed)
    return key, path


def _client(run: Run, key: SigningKey) -> NodeClient:
    from cli.client import NodeClient
    from contracts.base import ADMINISTRATION

    url = run.profile.node_url(run.node or ADMINISTRATION)
    return NodeClient(url, run.profile.genesis, ADMINISTRATION, key)
