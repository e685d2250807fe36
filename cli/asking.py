"""What a command waits for from whoever started it: a passphrase, or text on stdin. Ctrl-C ends the wait at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chain.errors import KehuError, define

STDIN_UNREADABLE = define("usage.stdin", "what came on stdin is not text of this encoding", "give it in UTF-8")


@contextmanager
def interruptible() -> Iterator[None]:
    """asyncio takes the first Ctrl-C for a wish that the event loop sees to when it gets a turn, and while somebody is
    asked it gets none: nothing would happen."""
    kept = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(kept):
        yield  # it is ignored, by whoever started the command
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


def read_stdin() -> str:
    """All of it. Errors: usage.stdin."""
    try:
        with interruptible():
            text = sys.stdin.read()
        text.encode()  # in some locales Python makes lone surrogates of bytes that it can't read
        return text
    except UnicodeError:
        raise KehuError(STDIN_UNREADABLE) from None
