"""Documents and error texts name only commands, files and configuration that are there."""

from __future__ import annotations

import re
import subprocess
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from chain.stored_state import _ROWS_BYTES_MAX
from cli.founding import DEPARTMENTS
from cli.intake.columns import COLUMNS
from cli.main import tree
from node.api.limits import ApiLimits
from node.carrier.config import Carrier
from node.folder.config import Config
from node.soundness.check_bytes import KNOWN_FILES, KNOWN_FOLDERS
from node.storage.leveldb import CACHE_BYTES, WRITE_BUFFER_BYTES

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = sorted(
    path for name in ("chain", "consensus", "contracts", "node", "cli") for path in ROOT.glob(f"{name}/**/*.py")
)


COMMANDS = typer.main.get_command(tree())


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=named)
def test_every_command_that_is_named_exists_with_its_options(path: Path) -> None:
    for line in re.findall(r"`kehu ([a-z][^`\n]*)`?", path.read_text(encoding="utf-8")):
        command, words = COMMANDS, re.sub(r"\|\S*", "", line).split()
        while words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            children = getattr(command, "commands", None)
            if children is None:
                break
            assert words[0] in children, f"kehu {line}"
            command = children[words.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} - options == set(), f"kehu {line}"


def command_lines(text: str) -> list[list[str]]:
    """The words after `kehu` of what stands in indented code: a line that ends in a backslash goes on in the next."""
    joined = re.sub(r"\\\n +", "", text)
    lines = re.findall(r"^ {4,}(?:\$ |sudo -u kehu )?(?:/opt/kehu/bin/)?kehu ([a-z].*)$", joined, re.MULTILINE)
    return [re.split(r"[>#|;]", line, maxsplit=1)[0].split() for line in lines]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_command_line_names_a_command_and_its_options(path: Path) -> None:
    for words in command_lines(path.read_text(encoding="utf-8")):
        command, rest = COMMANDS, list(words)
        while rest and (children := getattr(command, "commands", None)) is not None:
            assert rest[0] in children, words
            command = children[rest.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} - options == set(), words


@pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=named)
def test_every_document_that_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    missing = [name for name in re.findall(r"\bdocs/[a-z0-9/-]+\.md", text) if not (ROOT / name).exists()]
    if path.suffix == ".md":
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        missing += [link for link in links if not (path.parent / link).exists()]
    assert missing == []


def targets() -> set[str]:
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    return set(phony[1].split())


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_target_of_make_that_is_named_exists(path: Path) -> None:
    named_here = re.findall(r"(?:`|^ {4,}|^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named_here) - targets() == set()


def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = [line.split("  ")[0].split() for line in shown.splitlines()]
    assert {name for names in listed for name in names} == targets()


CONTRACT_ROOMS = sorted(ROOT.glob("contracts/*/__init__.py"))


def modules_named(table: str) -> list[str]:
    return sorted(re.findall(r"`([a-z_]+)`", table))


def modules_in(folder: str) -> list[str]:
    return sorted(path.stem for path in ROOT.glob(f"{folder}/[a-z]*.py"))


def test_the_architecture_names_every_room_and_module_of_a_node_every_contract_and_every_file_on_the_way() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {f"`{path.parent.name}/`" for path in [*ROOT.glob("node/*/__init__.py"), *CONTRACT_ROOMS]}
    assert {room for room in rooms if room not in text} == set()
    for folder in ("node", "contracts"):
        table = text.partition(f"directly in `{folder}/` |")[2].partition("\n\n")[0]
        assert modules_named(table) == modules_in(folder)
    for folder in ("node/intake", "node/replica", *(f"contracts/{path.parent.name}" for path in CONTRACT_ROOMS)):
        assert modules_named(text.partition(f"\n| `{folder.partition('/')[2]}/` |")[2].partition("\n")[0]) == (
            modules_in(folder)
        )
    files = re.findall(r"`((?:chain|consensus|contracts|node|cli)/[a-z_/]*\.py)`", text)
    assert len(files) > 10
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_contributing_says_at_which_pace_ci_takes_all_campaigns_and_at_which_fewer() -> None:
    """`.ci/run` compares what is left, in thousandths of the time until the tests are passed, with what they take."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    known = {name: int(value) for name, value in re.findall(r"\b([A-Z_]+)=(\d+)", script)}
    campaigns = (known["HALF_AN_HOUR"] - known["CHAOS"]) * 1000
    always, million, seeds = known["ALWAYS"], known["MILLION_EXECUTIONS"], 20 * known["THOUSAND_SEEDS"]
    all_of_it, half = (campaigns / (1000 + always + n * million + seeds) / 60 for n in (2, 1))
    said = re.search(
        r"under ([\d.]+) minutes it takes all of it, up to ([\d.]+) half of the executions",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    )
    assert said is not None
    assert said.groups() == (f"{all_of_it:.1f}", f"{half:.1f}")


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        if field.annotation is ApiLimits:
            keys += [f"{prefix}{name}.{item.name}" for item in fields(ApiLimits)]
            continue
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        is_table = bool(inner) and not str(field.annotation).startswith("list")
        keys += keys_of(inner[0], f"{prefix}{name}.") if is_table else [f"{prefix}{name}"]
    return keys


def test_every_key_of_the_configuration_is_described_and_no_other() -> None:
    text = (ROOT / "docs" / "node.md").read_text(encoding="utf-8").partition("## node.toml")[2]
    described = {
        key for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE) for key in re.findall(r"`([^`]+)`", row)
    }
    expected = {key if key != "peers" else "peers.DEPARTMENT" for key in keys_of(Config)}
    assert described == expected


def defaults_of(model: type[BaseModel], prefix: str = "") -> dict[str, object]:
    """Key of node.toml -> its default, of those that have one which is a number, a word or a switch."""
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if field.annotation is ApiLimits:
            found |= {f"{prefix}{name}.{key}": value for key, value in asdict(ApiLimits()).items()}
        elif field.annotation == Carrier | None:
            found |= defaults_of(Carrier, f"{prefix}{name}.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= defaults_of(field.annotation, f"{prefix}{name}.")
        elif isinstance(field.default, (int, float, str)):
            found[f"{prefix}{name}"] = field.default
    return found


def test_every_default_of_the_configuration_is_the_codes() -> None:
    text = (ROOT / "docs" / "node.md").read_text(encoding="utf-8").partition("## node.toml")[2]
    said: dict[str, str] = {}
    for keys, values in re.findall(r"^\| (`[^|]+) \| ([^|]*) \|", text, re.MULTILINE):
        names, numbers = re.findall(r"`([^`]+)`", keys), [value.strip(" `") for value in values.split(",")]
        said |= dict(zip(names, numbers * len(names) if len(numbers) == 1 else numbers, strict=True))
    defaults = defaults_of(Config)
    assert len(defaults) > 35
    assert {key: said[key] for key in defaults} == {key: word_of(value) for key, value in defaults.items()}


def word_of(value: object) -> str:
    """A default as the table has it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def test_the_memory_of_the_stores_and_of_the_state_is_said_as_it_is_bounded() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    said = [int(number) << 20 for number in re.findall(r"(\d+) MiB", text)]
    assert said == [_ROWS_BYTES_MAX, WRITE_BUFFER_BYTES, CACHE_BYTES]


def test_everything_that_a_nodes_folder_may_hold_is_described() -> None:
    text = (ROOT / "docs" / "node.md").read_text(encoding="utf-8").partition("| in HOME |")[2].partition("\n\n")[0]
    described = {name.partition("/")[0] for name in re.findall(r"`([^`]+)`", text)}
    assert (KNOWN_FILES | KNOWN_FOLDERS) - described == set()


def test_every_setting_of_the_compose_file_is_described() -> None:
    compose = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    settings = set(re.findall(r"\$\{([A-Z_]+)", compose))
    departments = {f"KEHU_PORT_{department.upper()}" for department in DEPARTMENTS}
    assert departments < settings
    described = {word for word in words_in_code("containers.md") if re.fullmatch(r"[A-Z_]+", word)}
    assert settings - departments - described == set()


def test_every_column_that_an_import_knows_is_described() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").partition("| field | columns that mean it |")[2]
    rows = re.findall(r"^\| ([a-z]+) \| (.+) \|$", text.partition("\n\n")[0], re.MULTILINE)
    assert {field: tuple(names.split(", ")) for field, names in rows} == COLUMNS


def words_in_code(name: str) -> set[str]:
    """What stands in backticks in a document."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / "docs" / name).read_text(encoding="utf-8")))


def test_every_code_and_metric_of_the_runbook_is_in_its_reference() -> None:
    runbook = words_in_code("operating.md")
    known = words_in_code("errors.md") | words_in_code("doctor.md") | words_in_code("node.md")
    codes = {word for word in runbook if re.fullmatch(r"[a-z]+\.[a-z_]+", word) and not word.endswith((".key", ".log"))}
    assert len(codes) > 25
    assert codes - known - {"node.toml", "genesis.json", "node.md"} == set()
    metrics = {word for word in runbook if re.fullmatch(r"kehu_[a-z_]+", word)}
    assert metrics - words_in_code("metrics.md") == set()


def test_the_runbook_has_a_row_for_every_alarm() -> None:
    alarms = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").partition("| alarm | when |")[2]
    rows = re.findall(r"^\| ([a-z][^|]+) \| [^|]+ \|$", alarms, re.MULTILINE)
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition("## Alarms")[2]
    assert len(rows) == 7
    assert [row for row in rows if f"| {row} |" not in text] == []
