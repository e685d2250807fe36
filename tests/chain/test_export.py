"""The export stream: whatever the chunks, the same items; whatever the damage, found."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import codec
from chain.errors import KehuError
from chain.export import (
    FRAME_BYTES_MAX,
    MAGIC,
    ExportBlock,
    ExportEnd,
    ExportGenesis,
    ExportReader,
    ExportWriter,
    export_chunks,
    read_export,
)
from tools.sample_chain import make_story

STORY = make_story()
EXPORT = STORY.export()


def refusal(data: bytes) -> str:
    with pytest.raises(KehuError) as caught:
        list(read_export([data]))
    return caught.value.code


@settings(max_examples=40)
@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=30))
def test_the_items_are_the_same_however_the_stream_is_cut(sizes: list[int]) -> None:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(EXPORT[at : at + size])
        at += size
    chunks.append(EXPORT[at:])
    assert list(read_export(chunks)) == list(read_export([EXPORT]))


def test_an_export_holds_genesis_every_height_and_an_end() -> None:
    items = list(read_export([EXPORT]))
    assert items[0] == ExportGenesis(STORY.genesis.raw)
    frames = [item for item in items if isinstance(item, ExportBlock)]
    assert [frame.height for frame in frames] == [1, 2, 3, 4]
    assert frames[2].block == STORY.blocks.block_bytes(3)
    assert isinstance(items[-1], ExportEnd)
    assert items[-1].height == 4


def test_an_export_may_begin_later_and_may_hold_nothing() -> None:
    later = list(read_export([STORY.export(from_height=3)]))
    assert [item.height for item in later if isinstance(item, ExportBlock)] == [3, 4]
    nothing = list(read_export([STORY.export(from_height=5)]))
    assert len(nothing) == 2
    assert isinstance(nothing[1], ExportEnd)
    assert nothing[1].height == 4


def test_a_flipped_bit_anywhere_is_found_without_knowing_what_the_frames_mean() -> None:
    for position in range(len(EXPORT)):
        changed = bytearray(EXPORT)
        changed[position] ^= 1 << position % 8
        with pytest.raises(KehuError):
            list(read_export([bytes(changed)]))


def test_a_truncated_export_is_found() -> None:
    for length in (*range(0, len(EXPORT), 41), len(EXPORT) - 1):
        assert refusal(EXPORT[:length]) in ("export.truncated", "export.not_one")


def test_what_follows_the_end_is_found() -> None:
    assert refusal(EXPORT + b"\x00") == "export.trailing"
    assert refusal(EXPORT + EXPORT) == "export.trailing"


def test_another_file_is_not_an_export() -> None:
    assert refusal(b"PK\x03\x04 something") == "export.not_one"
    assert refusal(b"") == "export.not_one"
    assert refusal(MAGIC[:5]) == "export.not_one"


def test_a_frame_longer_than_any_may_be_is_refused_before_it_is_gathered() -> None:
    start = ExportWriter().start(STORY.genesis.raw)
    reader = ExportReader()
    list(reader.feed(start))
    tracemalloc.start()
    try:
        with pytest.raises(KehuError) as caught:
            list(reader.feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert caught.value.code == "export.frame_too_large"


def frames() -> list[ExportBlock]:
    return [item for item in read_export([EXPORT]) if isinstance(item, ExportBlock)]


def digest_right(items: list[bytes], height: int) -> bytes:
    """A stream made by a forger who knows the format."""
    body = MAGIC + b"".join(len(item).to_bytes(4, "big") + item for item in [STORY.genesis.raw, *items])
    end = codec.encode(["end", height, hashlib.sha256(body).digest()])
    return body + len(end).to_bytes(4, "big") + end


def test_heights_that_do_not_follow_are_refused_by_reader_and_writer() -> None:
    one, two, three, four = frames()
    for wrong in ([one, three, two, four], [one, two, four], [one, two, two, three]):
        assert refusal(digest_right([frame.to_bytes() for frame in wrong], 4)) == "export.frame"
        with pytest.raises(KehuError) as caught:
            list(export_chunks(STORY.genesis.raw, wrong))
        assert caught.value.code == "export.frame"


def test_an_end_that_names_another_height_is_refused() -> None:
    assert refusal(digest_right([frame.to_bytes() for frame in frames()], 5)) == "export.frame"


OTHER_FORMS = [
    None,
    [],
    [1, b"", b""],
    ["end", 1],
    [1, b"", b"", b"", b""],
    ["fin", 1, bytes(32)],
    ["end", -1, bytes(32)],
]


@pytest.mark.parametrize("frame", [b"", *map(codec.encode, OTHER_FORMS)])
def test_a_frame_of_another_form_is_refused(frame: bytes) -> None:
    assert refusal(digest_right([frame], 1)).startswith("codec.")
