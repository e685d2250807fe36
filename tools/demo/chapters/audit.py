"""Everything is verified from an export and from a live node; then one byte is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.demo.story import Story

MAGIC = b"KEHU-EXPORT-1\n"


def tell(story: Story) -> None:
    export = story.folder / "chain.kehu"
    height = _export(story, export)
    report = _audit_file(story, export, height)
    _audit_node(story, report)
    _find_changed_byte(story, export)


def _export(story: Story, export: Path) -> int:
    with story.step(
        "The finance department's node writes the whole chain to a file",
        "blocks, certificates and receipts; not one personal value is in it",
    ) as step:
        export.unlink(missing_ok=True)
        made = story.kehu("export", str(export), "--node", "finance")
        content = export.read_bytes()
        texts = {text for customer in story.customers for text in (customer.fields["phone"], customer.fields["name"])}
        # A name of two characters is six bytes: in a file of this size it does not turn up by chance.
        leaked = sum(text.encode() in content for text in texts)
        step.equal("names and numbers found in the file", 0, leaked)
        step.says(
            f"{made['bytes']:,} bytes, {made['last']} blocks; looked for {len(texts):,} names and numbers, found none"
        )
    return int(made["last"])


def _audit_file(story: Story, export: Path, height: int) -> dict[str, Any]:
    with story.step(
        "The auditor replays it from genesis, on a machine that needs no node, no key and no personal data",
        "every header, certificate, signature, receipt and root is what the rules give",
    ) as step:
        report = story.kehu("audit", str(export), "--genesis", str(story.network / "genesis.json"))
        step.equal("verdict", [True, True, None], [report["clean"], report["complete"], report["finding"]])
        step.equal("height", height, report["height"])
        step.says(
            f"{report['blocks']} blocks, {report['transactions']} transactions, "
            f"{report['signatures']:,} signatures checked in {report['seconds']:.1f} s"
        )
        rows = report["by_department"].items()
        step.shows(
            ("admitted by", "batches", "transactions", "failed"),
            [(name, row["batches"], row["transactions"], row["failed"]) for name, row in rows],
        )
    return report


def _audit_node(story: Story, report: dict[str, Any]) -> None:
    with story.step(
        "The auditor asks another department's node in place of the file",
        "two departments tell one and the same chain",
    ) as step:
        live = story.kehu("audit", "--node", "after_sales")
        step.equal("verdict", [True, True], [live["clean"], live["complete"]])
        keys = ("height", "block_id", "state_root")
        step.equal("chain", [report[key] for key in keys], [live[key] for key in keys])
        step.says(f"height {live['height']}, block {live['block_id']}")


def _find_changed_byte(story: Story, export: Path) -> None:
    with story.step(
        "In a copy of the file one byte is changed, somewhere",
        "the audit finds it and names the height and the check that fails",
    ) as step:
        content = bytearray(export.read_bytes())
        height, place = _pick_place(story, bytes(content))
        before = content[place]
        content[place] ^= 1 << story.chance.randrange(8)
        copy = export.with_name("changed.kehu")
        copy.write_bytes(content)
        report = story.kehu("audit", str(copy), "--genesis", str(story.network / "genesis.json"), exits=(5,))
        finding = report["finding"]
        step.holds("the audit has a finding", finding is not None, report)
        step.equal("height of the finding", height, finding["height"])
        step.says(
            f"byte {place:,} of {len(content):,}, in what belongs to height {height}: "
            f"{before:#04x} became {content[place]:#04x}"
        )
        step.says(f"found at height {finding['height']}: {finding['code']} ({finding['cause']})")
        copy.unlink()


def _pick_place(story: Story, content: bytes) -> tuple[int, int]:
    """A height and a place in its frame; the file is frames of u32 length and bytes after the first line."""
    frames, at = [], len(MAGIC)
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        frames.append(range(at + 4, at + 4 + size))
        at += 4 + size
    place = story.chance.randrange(frames[1].start, frames[-2].stop)
    while not any(place in frame for frame in frames[1:-1]):
        place = story.chance.randrange(frames[1].start, frames[-2].stop)
    height = next(number for number, frame in enumerate(frames) if place in frame)
    return height, place
