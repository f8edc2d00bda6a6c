"""What the documents tell the reader to type is right: commands, options, exchange files."""

import re
import shlex
import warnings
from pathlib import Path

import click
import pytest

from tickdeck_console.cli import cli
from tickdeck_daemon.exchanges.config import parse_exchange

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")),
    *sorted((ROOT / "runbooks").glob("*.md")),
]
COMMAND = re.compile(r"^(tickdeck .*?)(?:\s+#.*)?$|`(tickdeck [^`]+)`", re.MULTILINE)
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def commands(path: Path) -> list[str]:
    found = [line or inline for line, inline in COMMAND.findall(path.read_text())]
    return [command for command in found if "…" not in command]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_parse(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `tickdeck` command of a document is accepted by the command line's own parser."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xnas.toml").touch()
    for text in commands(path):
        parse(cli, shlex.split(text)[1:], text)


def parse(command: click.Command, arguments: list[str], text: str) -> None:
    """Parse without running: options, arguments and each subcommand below."""
    try:
        context = command.make_context(command.name or "tickdeck", list(arguments))
    except click.exceptions.Exit:
        return  # --help
    except click.ClickException as error:
        raise AssertionError(f"{text}: {error.format_message()}") from error
    with warnings.catch_warnings():  # click 9 will have all of them in `args`
        warnings.simplefilter("ignore", DeprecationWarning)
        rest = [*context.protected_args, *context.args]
    if isinstance(command, click.Group) and rest:
        child = command.get_command(context, rest[0])
        assert child is not None, f"{text}: no command {rest[0]}"
        parse(child, rest[1:], text)


def exchange_files() -> list[tuple[str, str]]:
    """Each exchange file that a document shows, with the document's name."""
    texts = ((path.name, text) for path in DOCUMENTS for text in TOML.findall(path.read_text()))
    return [(name, text) for name, text in texts if "[[line]]" in text]


def test_exchange_files_are_taken() -> None:
    """The daemon accepts every exchange file that a document shows, the README's among them."""
    shown = exchange_files()
    assert "README.md" in {name for name, _ in shown}
    for name, text in shown:
        parse_exchange(text, file=name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """A link to a file of the project names one that is there."""
    broken = [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()]
    assert broken == []


def test_the_documents_are_read() -> None:
    """The pattern finds commands at all."""
    assert len([command for path in DOCUMENTS for command in commands(path)]) > 30
