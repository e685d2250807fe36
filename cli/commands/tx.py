"""`kehu tx`: what became of a transaction."""

from __future__ import annotations

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import Exit
from cli.layout import time_text
from cli.options import TransactionId
from cli.output import Answer, Screen, json_ready
from cli.root import group
from cli.run import Run

app = group("tx", "Look transactions up.")

ID_MALFORMED = define("usage.transaction", "a transaction id is 64 hex digits", "copy it from the command's output")


@command(
    app,
    "show",
    needs=Needs.NODE,
    example="kehu tx show 3b9a… --node finance",
    json_keys=("transaction", "status", "height", "time_ms", "code", "failed_call", "results", "details"),
    exits=(Exit.USAGE, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.MACHINE),
)
async def show(run: Run, transaction: TransactionId) -> Answer:
    """Show a transaction's receipt, proven under a header that a quorum of departments signed.

    Exit code 4 while its outcome is not known; whether it changed something is in `code` ("ok" if it did).
    """
    try:
        id_ = bytes.fromhex(transaction)
    except ValueError:
        id_ = b""
    if len(id_) != 32:
        raise KehuError(ID_MALFORMED, characters=len(transaction))
    async with run.reader() as client:
        committed = await client.find(id_)
        status = "committed" if committed else await client.transaction_status(id_)
    receipt = committed.receipt if committed else None
    data = {
        "transaction": transaction,
        "status": status,
        "height": committed.height if committed else None,
        "time_ms": committed.header.time_ms if committed else None,
        "code": receipt.code if receipt else None,
        "failed_call": receipt.failed_call if receipt else None,
        "results": json_ready(receipt.results) if receipt else None,
        "details": json_ready(receipt.details) if receipt else None,
    }

    def show_facts(screen: Screen) -> None:
        times = {"time": time_text(committed.header.time_ms) if committed else None}
        screen.facts((*((key, value) for key, value in data.items() if key != "time_ms"), *times.items()))

    return Answer(data, show_facts, Exit.OK if committed else Exit.UNKNOWN)
