"""Blocks and the export, for anybody: an auditor trusts no node and needs no key, and there is nothing personal in it.

An export can be as long as the chain, so it is sent frame by frame to as many clients at once as the limits allow.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from chain.blocks import BLOCK_NOT_HELD
from chain.errors import KehuError, define
from chain.export import ExportWriter, stored_frames
from node.api.context import Slots, allow, context_of
from node.api.facade import NodeFacade
from node.api.limits import ApiLimits
from node.api.policy import BINARY, Parameter, Policy, Route
from node.api.queries import read_path_uint, read_uint

BLOCK_NOT_FOUND = define(
    "block.not_found",
    "this node has no block of this height to give",
    "ask for a height from 1 to the one in /v1/status; genesis is at /v1/genesis",
)
EXPORT_TOO_MANY = define(
    "export.too_many",
    "the node sends as many exports as it may, in all or to this address",
    "wait as Retry-After says, or take the export from another department's node",
)

SLOTS: Final = web.AppKey("export_slots", Slots)


def export_slots(limits: ApiLimits) -> Slots:
    return Slots(limits.exports_max, limits.exports_per_address_max, EXPORT_TOO_MANY)


async def show_block(request: web.Request) -> web.Response:
    """encode([height, block bytes, certificate bytes, receipts bytes]), as the export has it."""
    node = context_of(request).node
    height = read_path_uint(request, "height")
    _require_heights(node, height, height)
    (frame,) = stored_frames(node.blocks, height, height)
    return web.Response(body=frame.to_bytes(), content_type=BINARY)


async def send_export(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    node, head = context.node, context.node.ledger.height
    first = read_uint(request, "from", 1)
    last = read_uint(request, "to", head)
    if first != head + 1 or last != head:  # an export of nothing new is a good answer, not an error
        _require_heights(node, first, last)
    with request.app[SLOTS].take(request.remote or ""):
        response = web.StreamResponse()
        response.content_type = BINARY
        await response.prepare(request)
        writer = ExportWriter()
        await response.write(writer.start(node.genesis.raw, first))
        for frame in stored_frames(node.blocks, first, last):
            allow(request, context.limits.stream_s)
            await response.write(writer.block(frame))
        await response.write(writer.end())
        return response


def _require_heights(node: NodeFacade, first: int, last: int) -> None:
    head, held_from = node.ledger.height, node.blocks.first()[0]
    if not 1 <= first <= last <= head:
        raise KehuError(BLOCK_NOT_FOUND, first=first, last=last, head=head)
    if first < held_from:
        raise KehuError(BLOCK_NOT_HELD, what="blocks", height=first, first=held_from)


ROUTES: Final = (
    Route(
        "GET",
        "/v1/blocks/{height}",
        Policy.PUBLIC,
        show_block,
        "A block with its commit certificate and receipts (docs/spec/export.md, one frame)",
        answer_type=BINARY,
    ),
    Route(
        "GET",
        "/v1/export",
        Policy.PUBLIC,
        send_export,
        "The chain as an export (docs/spec/export.md)",
        answer_type=BINARY,
        parameters=(
            Parameter("from", "integer", "the first height; 1 if left out"),
            Parameter("to", "integer", "the last height; the newest if left out"),
        ),
    ),
)
