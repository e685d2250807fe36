"""Every bound of the API in one place, so that tests and node.toml can set them."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Seconds = Annotated[float, Field(gt=0, le=3_600)]
Count = Annotated[int, Field(ge=1, le=1 << 30)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class ApiLimits:
    """Seconds, bytes and counts; the defaults suit a department's node with a few hundred people.

    header_s: from the connection, or the end of the last answer, to the end of the next request's headers. body_s:
    from there to the end of its body. request_s: to the end of the answer. stream_s: for each piece of a streamed
    answer to be taken by the client.
    """

    header_s: Seconds = 10
    body_s: Seconds = 15
    request_s: Seconds = 60
    stream_s: Seconds = 30
    body_bytes_max: Count = 4 << 20
    header_line_bytes_max: Count = 8 << 10
    headers_max: Count = 64
    connections_max: Count = 512
    connections_per_address_max: Count = 64
    transactions_max: Count = 1_000
    exports_max: Count = 8
    exports_per_address_max: Count = 2
    events_max: Count = 64
    events_per_person_max: Count = 4
    event_queue_max: Count = 256
    event_heartbeat_s: Seconds = 15
    retry_after_s: Count = 1
    wait_ms_max: Count = 30_000
    page_max: Count = 200
    customer_requests_per_minute: Count = 60
