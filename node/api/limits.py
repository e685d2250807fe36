"""Every bound of the API in one place, so that tests and node.toml can set them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Seconds, bytes and counts; the defaults suit a department's node with a few hundred people.

    header_s: from the connection, or the end of the last answer, to the end of the next request's headers. body_s:
    from there to the end of its body. request_s: to the end of the answer. stream_s: for each piece of a streamed
    answer to be taken by the client.
    """

    header_s: float = 10
    body_s: float = 15
    request_s: float = 60
    stream_s: float = 30
    body_bytes_max: int = 4 << 20
    header_line_bytes_max: int = 8 << 10
    headers_max: int = 64
    connections_max: int = 512
    connections_per_address_max: int = 64
    transactions_max: int = 1_000
    exports_max: int = 8
    exports_per_address_max: int = 2
    events_max: int = 64
    events_per_person_max: int = 4
    event_queue_max: int = 256
    event_heartbeat_s: float = 15
    retry_after_s: int = 1
    wait_ms_max: int = 30_000
    page_max: int = 200
    customer_requests_per_minute: int = 60
