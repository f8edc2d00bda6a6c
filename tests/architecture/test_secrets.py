"""Secrets are compared in constant time only, and print as nothing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUST = sorted(
    path
    for folder in ("native/crates/export/src", "native/crates/worker/src/export")
    for path in (ROOT / folder).rglob("*.rs")
    if not re.search(r"tests(\.rs|/)", str(path))
)
PYTHON = sorted((ROOT / "console/tickdeck_subscriber").glob("*.py"))
SECRET_TYPES = ("Key", "KeyPair", "Mac", "Keyring")
NAMES = r"\b(mac|macs|key|secret|proof|hmac|digest|auth_token)\b"
COMPARED = re.compile(rf"({NAMES}(\(\))?\s*[!=]=[^=])|([!=]=\s*&?\*?(self\.)?{NAMES})")


def code(path: Path) -> str:
    return re.sub(r"//[^\n]*", "", path.read_text())


def test_the_rule_sees_a_comparison() -> None:
    assert COMPARED.search("if auth.mac == wanted {")
    assert COMPARED.search("wanted != self.key")
    assert not COMPARED.search("let mac = wanted.mac(&key);")


@pytest.mark.parametrize("path", [*RUST, *PYTHON], ids=lambda path: path.name)
def test_no_secret_is_compared_by_an_operator(path: Path) -> None:
    """`==` ends at the first byte that differs: subtle and hmac.compare_digest do not."""
    found = COMPARED.search(code(path))
    assert not found, f"{path}: {found}"


@pytest.mark.parametrize("name", SECRET_TYPES)
def test_secret_types_have_no_operator(name: str) -> None:
    """A type without PartialEq cannot be compared by accident."""
    (declared,) = [
        (path, derives)
        for path in RUST
        for derives in re.findall(
            rf"((?:#\[[^\n]*\]\n|///[^\n]*\n)*)pub struct {name}\b", path.read_text()
        )
    ]
    assert "PartialEq" not in declared[1]
    assert not any(re.search(rf"PartialEq(<\w+>)? for {name}\b", code(path)) for path in RUST)


@pytest.mark.parametrize("name", ["Key", "Mac"])
def test_secret_types_print_as_nothing(name: str) -> None:
    """Their Debug is written by hand; nobody derives it."""
    sources = "\n".join(map(code, RUST))
    assert re.search(rf'impl fmt::Debug for {name} .*?"{name}\(redacted\)"', sources, re.S)
    assert not re.search(rf"derive\([^)]*Debug[^)]*\)\]\s*pub struct {name}\b", sources)


def test_no_log_line_is_given_a_secret() -> None:
    """No tracing macro names a key or a MAC."""
    call = re.compile(r"tracing::\w+!\((?:[^()]|\([^()]*\))*\)")
    for path in RUST:
        for line in call.findall(code(path)):
            text = re.sub(r'"[^"]*"', "", line)
            assert not re.search(r"\b(mac|secret|key|auth_token)\b", text), f"{path}: {line}"
