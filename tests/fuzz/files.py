"""Files that people make, copy and hand over: configuration, genesis, keys, vote log, backups, proofs, tables."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from chain import codec
from cli.intake.rows import decode_text, parse_sheet
from cli.proof_file import MAGIC as PROOF_MAGIC
from cli.proof_file import Entry, ProofFile, Read, verify_proof_file
from node.backup.format import DATA_MAGIC, KeysSealer, data_chunks, encode_frame, read_data, read_keys
from node.folder.config import Home, read_genesis
from node.keys.files import ScryptCost, create_key_file, read_public
from node.storage.wal import VoteLog, read_log
from tests.fuzz.mutation import Mutator, change_bytes
from tests.fuzz.target import Draw, Finding, Take, Target, reader
from tests.fuzz.wire import drawing, files, story, unframed, with_digest

CHEAP: Final = ScryptCost(2, 1, 1)
MEMORY: Final = Path("/dev/shm")
TOML: Final = b"""department = "sales"
[listen]
peer = "127.0.0.1:7001"
api = "[::1]:8001"
metrics = "127.0.0.1:9101"
[log]
format = "json"
[consensus]
view_timeout_ms = 2000
[limits]
mempool_transactions = 100
[api]
connections_max = 100
[carrier]
name = "simulator"
url = "http://127.0.0.1:9000"
token_file = "secrets/carrier-token"
region = "CN"
[phone]
sweep = true
interval_s = 3600
[scrub]
interval_s = 5.5
[peers]
finance = "10.0.0.2:7001"
"""
TABLES: Final = (
    '客户,姓名,电话,级别\r\nc1,张三,13800138000,A\r\nc2,"李, 四",+8613800138001,B\r\n'.encode(),
    'id;name;phone\nc1;Ann;+8613800138000\nc2;"B""ob";13800138001\n'.encode("utf-8-sig"),
    "customer\tname\tphone\nc1\t王五\t13800138000\n".encode("utf-16"),
    "编号,姓名,手机\nc1,赵六,13800138000\n".encode("gb18030"),
)


def in_file(read: Callable[[Path], Any]) -> Callable[[], Any]:
    """A taker that writes each input to one file in memory and has it read."""

    @contextmanager
    def open_() -> Iterator[Take]:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            path = Path(folder) / "node.toml"
            path.touch(mode=0o600)

            def take(data: bytes) -> None:
                path.write_bytes(data)
                read(path)

            yield take

    return open_


def json_drawing(*seeds: bytes) -> Draw:
    """Inputs of JSON documents: changed as documents, and as bytes."""
    return Mutator(seeds, [json.loads(seed) for seed in seeds], dump_json).draw


def dump_json(tree: Any) -> bytes:
    return json.dumps(tree, default=_shown, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


def _genesis() -> bytes:
    return json.dumps(story().genesis.value, ensure_ascii=False).encode()


def _made(make: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        make(path)
        return path.read_bytes()


def _key_file() -> bytes:
    return _made(lambda path: create_key_file(path, "person", "li", "secret", bytes(32), CHEAP))


def _vote_log() -> bytes:
    def make(path: Path) -> None:
        log = VoteLog.create(path, bytes(32), "sales")
        log.append([b"one", b"two" * 20])
        log.sync()
        log.append([b"three"])
        log.sync()
        log.close()

    return _made(make)


def _backup() -> Draw:
    frames = [encode_frame("files", [(b"genesis.json", b"{}")]), encode_frame("chain", [(b"b/1", b"x" * 40)])]
    data = b"".join(data_chunks(bytes(16), frames))
    return files(DATA_MAGIC, unframed(data, len(DATA_MAGIC), len(data))[:-1], _with_backup_end, is_framed=True)


def _with_backup_end(body: bytes) -> bytes:
    return body + encode_frame("end", [(b"sha256", hashlib.sha256(body).digest())])


def take_backup(data: bytes) -> None:
    for frame in read_data(io.BytesIO(data)):
        del frame


def _backup_keys() -> bytes:
    sealer = KeysSealer(bytes(16), "secret", CHEAP)
    return sealer.head + sealer.seal(encode_frame("key-files", [(b"node.key", b"{}")])) + sealer.end()


def take_backup_keys(data: bytes) -> None:
    """The file says what the passphrase costs to try, up to 1 GiB (docs/spec/backup.md); here only the cheap are."""
    if codec.encode_flat([CHEAP.n, CHEAP.r, CHEAP.p]) not in data[:200]:
        return
    _, frames = read_keys(io.BytesIO(data), "secret")
    for frame in frames:
        del frame


def _proof_file() -> Draw:
    made = ProofFile(story().genesis.chain_id, (Read(b"\x90", ()),), (Entry("notes", "a", None, b"\x90"),)).to_bytes()
    return files(PROOF_MAGIC, [made[len(PROOF_MAGIC) : -32]], with_digest, is_framed=False)


def take_proof_file(data: bytes) -> None:
    if ProofFile.from_bytes(data).to_bytes() != data:
        raise Finding("a proof file is written as other bytes")
    verify_proof_file(story().genesis, data)


def take_table(data: bytes) -> None:
    """Every row of a table is taken or at fault."""
    text, encoding = decode_text(data)
    sheet = parse_sheet(text, encoding, "CN")
    if len(sheet.rows) + len(sheet.faults) != sheet.total:
        raise Finding("rows are lost")


def _tables() -> Draw:
    def draw(rng: Random) -> bytes:
        return change_bytes(rng, rng.choice(TABLES))

    return draw


def file_targets() -> list[Target]:
    return [
        Target("node.toml", drawing(TOML), in_file(lambda path: Home(path.parent).read_config()), 4),
        Target("genesis.json", json_drawing(_genesis()), in_file(read_genesis), 4, cpu_s_max=0.5),
        Target("key file", json_drawing(_key_file()), in_file(read_public), 4),
        Target("vote log", drawing(_vote_log()), in_file(lambda path: read_log(path, bytes(32), "sales")), 5),
        Target("backup", _backup(), reader(take_backup), 6),
        Target("backup keys", drawing(_backup_keys()), reader(take_backup_keys), 4),
        Target("proof file", _proof_file(), reader(take_proof_file), 4),
        Target("table", _tables(), reader(take_table), 4, cpu_s_max=0.5),
    ]
