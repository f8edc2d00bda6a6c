"""Finding the native workers."""

import sysconfig
from pathlib import Path

import pytest

from tickdeck_daemon.errors import UnavailableError
from tickdeck_daemon.workers import binaries


def make(path: Path, *, mode: int = 0o755) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_own_folder_is_the_only_one_searched(tmp_path: Path) -> None:
    """With TICKDECK_NATIVE_DIR the binary comes from there or from nowhere."""
    environ = {"TICKDECK_NATIVE_DIR": str(tmp_path)}
    with pytest.raises(binaries.BinaryNotFoundError) as caught:
        binaries.find("tickdeck-rx", environ=environ)
    assert str(tmp_path) in caught.value.message
    assert caught.value.reason == "BINARY_NOT_FOUND"
    assert isinstance(caught.value, UnavailableError)
    binary = make(tmp_path / "tickdeck-rx")
    assert binaries.find("tickdeck-rx", environ=environ) == binary


def test_what_cannot_be_executed_is_not_found(tmp_path: Path) -> None:
    """A directory or a file without execute permission is no binary."""
    (tmp_path / "tickdeck-rx").mkdir()
    make(tmp_path / "tickdeck-book", mode=0o644)
    for name in ("tickdeck-rx", "tickdeck-book"):
        with pytest.raises(binaries.BinaryNotFoundError):
            binaries.find(name, environ={"TICKDECK_NATIVE_DIR": str(tmp_path)})


def test_scripts_folder_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the variable the binaries lie beside the environment's commands."""

    def path(name: str) -> str:
        assert name == "scripts"
        return str(tmp_path)

    monkeypatch.setattr(sysconfig, "get_path", path)
    binary = make(tmp_path / "tickdeck-rx")
    assert binaries.find("tickdeck-rx", environ={}) == binary
    with pytest.raises(binaries.BinaryNotFoundError, match="make install"):
        binaries.find("tickdeck-book", environ={})
