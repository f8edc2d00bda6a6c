"""The store of exchanges: files, desired states, generations, and what happens when one breaks."""

import json
import os
from pathlib import Path

import pytest

from fake_plant import exchange_toml
from tickdeck_daemon import files
from tickdeck_daemon.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    WrongStateError,
)
from tickdeck_daemon.exchanges.config import Host
from tickdeck_daemon.exchanges.store import DesiredState, ExchangeStore

HOST = Host(2, {"lo": ("127.0.0.1",)})


def new_store(root: Path) -> ExchangeStore:
    store = ExchangeStore(root / "config", root / "state", host=lambda: HOST)
    store.load()
    return store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config" / "exchanges.d").mkdir(parents=True)
    return tmp_path


def put(root: Path, file: str, toml: str) -> Path:
    path = root / "config" / "exchanges.d" / file
    path.write_text(toml)
    return path


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file below a directory, to see that nothing changed."""
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_files_are_loaded_as_wanted(root: Path) -> None:
    """A file seen for the first time is an exchange that should run, managed by file."""
    put(root, "nasdaq.toml", exchange_toml())
    store = new_store(root)
    assert store.problems == ()
    (record,) = store.list()
    assert (record.name, record.generation, record.managed_by) == ("XNAS", 1, "file")
    assert record.wanted
    assert store.get("XNAS") is record
    assert record.etag.startswith('"')
    assert record.etag.endswith('"')


def test_broken_file_hides_nobody(root: Path) -> None:
    """The broken ones are reported with their faults, the others are there."""
    put(root, "a.toml", exchange_toml("AAA", port=1))
    put(root, "b.toml", exchange_toml("BBB", port=2, extra="bogus = 1"))
    put(root, "c.toml", "name = ")
    (root / "config" / "exchanges.d" / "d.toml").write_bytes(b'name = "\xff"')
    (root / "config" / "exchanges.d" / "e.toml").mkdir()
    put(root, "z.toml", exchange_toml("ZZZ", port=3))
    put(root, ".z.toml.swp.toml", "editor's rubbish")
    store = new_store(root)
    assert [record.name for record in store.list()] == ["AAA", "ZZZ"]
    assert [problem.path.name for problem in store.problems] == [
        "b.toml",
        "c.toml",
        "d.toml",
        "e.toml",
    ]
    assert not any(problem.loaded for problem in store.problems)
    assert 'b.toml:2: unknown key "bogus"' in store.problems[0].message
    assert store.problems[0].exchange == "BBB"
    assert "not UTF-8" in store.problems[2].message
    with pytest.raises(NotFoundError, match=r"its file .*b\.toml is broken"):
        store.get("BBB")


def test_same_name_or_target_in_two_files(root: Path) -> None:
    """The first file in order of name keeps it, the second is reported and names the first."""
    put(root, "1.toml", exchange_toml("AAA", port=1))
    put(root, "2.toml", exchange_toml("AAA", port=2))
    put(root, "3.toml", exchange_toml("BBB", port=1))
    store = new_store(root)
    assert [(r.name, r.path.name) for r in store.list()] == [("AAA", "1.toml")]
    assert 'the name "AAA" is used by 1.toml' in store.problems[0].message
    assert "239.81.0.1:1 is used by line A of AAA" in store.problems[1].message


def test_host_that_does_not_suit_is_a_problem_and_no_more(root: Path) -> None:
    """A missing interface is reported; the exchange is loaded, its workers will tell."""
    put(root, "x.toml", exchange_toml().replace('"lo"', '"eth9"'))
    store = new_store(root)
    assert [record.name for record in store.list()] == ["XNAS"]
    assert store.problems[0].loaded
    assert 'no interface "eth9"' in store.problems[0].message


def test_create_writes_and_survives(root: Path) -> None:
    """A created exchange is wanted, managed by api, and the same after a restart."""
    record = new_store(root).create(exchange_toml())
    assert (record.managed_by, record.generation, record.wanted) == ("api", 1, True)
    assert record.path.read_text() == exchange_toml()
    assert new_store(root).get("XNAS") == record


def test_create_of_a_taken_name_changes_nothing(root: Path) -> None:
    """Neither a loaded exchange, nor a broken file of that name, nor a strange file is lost."""
    put(root, "other.toml", exchange_toml("AAA", port=1))
    put(root, "broken.toml", 'name = "BBB"')
    store = new_store(root)
    put(root, "CCC.toml", "somebody's file")
    before = snapshot(root)
    for name in ("AAA", "BBB", "CCC"):
        with pytest.raises(AlreadyExistsError, match="nothing was changed"):
            store.create(exchange_toml(name, port=5))
    assert snapshot(root) == before


def test_create_refuses_clashes_and_missing_interfaces(root: Path) -> None:
    """Same group and port, same journal folder, absent interface: all told, nothing changed."""
    store = new_store(root)
    store.create(exchange_toml("AAA", port=1, extra='journal = { data_dir = "/j" }'))
    before = snapshot(root)
    with pytest.raises(InvalidError) as caught:
        store.create(exchange_toml("BBB", port=1, extra='journal = { data_dir = "/j" }'))
    assert [v.field for v in caught.value.violations] == [
        "line[0].group",
        "line[1].group",
        "journal.data_dir",
    ]
    with pytest.raises(InvalidError, match="eth9"):
        store.create(exchange_toml("CCC", port=3).replace('"lo"', '"eth9"'))
    assert snapshot(root) == before
    assert len(store.list()) == 1


def test_a_snapshot_channel_is_no_line_of_another_exchange(root: Path) -> None:
    """Neither way round; two exchanges may listen to one channel of snapshots."""
    top = 'protocol = "eobi"\ndecoder = "none"\nbook = { enabled = false }'
    channel = (
        '[recovery.snapshot]\nprotocol = "eobi"\ngroup = "239.81.0.1"\nport = 9\ninterface = "lo"\n'
    )
    store = new_store(root)
    store.create(exchange_toml("AAA", port=1, extra=top) + channel)
    with pytest.raises(InvalidError, match="9 is used by the snapshot of AAA"):
        store.create(exchange_toml("BBB", port=9))
    store.create(exchange_toml("CCC", port=3, extra=top) + channel)
    store.create(exchange_toml("DDD", port=7))
    with pytest.raises(InvalidError) as caught:
        store.create(exchange_toml("EEE", port=5, extra=top) + channel.replace("9\n", "7\n"))
    assert [v.field for v in caught.value.violations] == ["recovery.snapshot.group"]


def test_validate_changes_nothing(root: Path) -> None:
    """Validation says what create and update would, and leaves no trace."""
    store = new_store(root)
    before = snapshot(root)
    assert store.validate(exchange_toml()).name == "XNAS"
    assert snapshot(root) == before
    store.create(exchange_toml())
    with pytest.raises(AlreadyExistsError):
        store.validate(exchange_toml())
    assert store.validate(exchange_toml(port=9), replacing="XNAS").line[0].port == 9
    with pytest.raises(NotFoundError):
        store.validate(exchange_toml(), replacing="YYY")
    with pytest.raises(InvalidError, match="names stay"):
        store.validate(exchange_toml("YYY"), replacing="XNAS")


def test_update_needs_the_etag(root: Path) -> None:
    """No etag is invalid, an old one a conflict; the right one replaces file and generation."""
    put(root, "x.toml", exchange_toml())
    store = new_store(root)
    old = store.get("XNAS")
    with pytest.raises(InvalidError, match="etag is required"):
        store.update("XNAS", exchange_toml(port=2), "")
    new = store.update("XNAS", exchange_toml(port=2), old.etag)
    assert (new.generation, new.managed_by, new.path) == (2, "api", old.path)
    assert new.etag != old.etag
    assert old.path.read_text() == exchange_toml(port=2)
    with pytest.raises(ConflictError, match="read it again") as caught:
        store.update("XNAS", exchange_toml(port=3), old.etag)
    assert caught.value.metadata["etag"] == new.etag
    assert new_store(root).get("XNAS") == new


def test_update_with_the_same_text_changes_nothing(root: Path) -> None:
    """No new generation for nothing: workers are not restarted for it."""
    store = new_store(root)
    record = store.create(exchange_toml())
    assert store.update("XNAS", exchange_toml(), record.etag) is record


def test_file_edited_by_hand_is_not_overwritten(root: Path) -> None:
    """Neither update nor delete destroys an edit that the daemon has not read."""
    store = new_store(root)
    record = store.create(exchange_toml())
    record.path.write_text(exchange_toml(port=77))
    for change in (
        lambda: store.update("XNAS", exchange_toml(port=5), record.etag),
        lambda: store.delete("XNAS", record.etag),
    ):
        with pytest.raises(ConflictError, match="edited by hand"):
            change()
    assert "77" in record.path.read_text()
    store.load()
    again = store.get("XNAS")
    assert (again.generation, again.managed_by) == (2, "file")


def test_delete_keeps_a_copy(root: Path) -> None:
    """The exchange and its desired state are gone, the text is kept, the name is free."""
    store = new_store(root)
    record = store.set_desired(store.create(exchange_toml()).name, DesiredState.STOPPED)
    journal = root / "state" / "journal" / "XNAS" / "segment"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"kept")
    with pytest.raises(InvalidError):
        store.delete("XNAS", "")
    assert store.delete("XNAS", record.etag) == record
    assert not record.path.exists()
    kept = root / "state" / "exchanges" / "removed" / "XNAS.toml"
    assert kept.read_text() == exchange_toml()
    assert journal.read_bytes() == b"kept"
    for gone in (store, new_store(root)):
        with pytest.raises(NotFoundError):
            gone.get("XNAS")
    assert store.create(exchange_toml()).wanted


def test_stop_outlives_the_daemon(root: Path) -> None:
    """A commanded stop is stored; stopping twice is one change; a start undoes it."""
    put(root, "x.toml", exchange_toml())
    store = new_store(root)
    stopped = store.set_desired("XNAS", DesiredState.STOPPED)
    assert stopped.generation == 2
    assert store.set_desired("XNAS", DesiredState.STOPPED) is stopped
    after = new_store(root)
    assert after.get("XNAS") == stopped
    assert not after.get("XNAS").wanted
    assert after.set_desired("XNAS", DesiredState.RUNNING).generation == 3


def test_disabled_by_the_file_cannot_be_started(root: Path) -> None:
    """`enabled = false` wins, and the error says where to change it."""
    put(root, "x.toml", exchange_toml(extra="enabled = false"))
    store = new_store(root)
    assert not store.get("XNAS").wanted
    with pytest.raises(WrongStateError, match=r"x\.toml"):
        store.set_desired("XNAS", DesiredState.RUNNING)


def test_edit_while_no_daemon_ran_is_a_new_generation(root: Path) -> None:
    """A file changed by hand keeps its desired state and gets the next generation, once."""
    path = put(root, "x.toml", exchange_toml())
    new_store(root).set_desired("XNAS", DesiredState.STOPPED)
    path.write_text(exchange_toml(port=9))
    for _ in range(2):
        record = new_store(root).get("XNAS")
        assert (record.generation, record.desired) == (3, DesiredState.STOPPED)


def test_file_broken_later_keeps_the_last_good_version(root: Path) -> None:
    """Reading again with a broken file reports it and keeps what was there before."""
    path = put(root, "x.toml", exchange_toml())
    store = new_store(root)
    record = store.get("XNAS")
    path.write_text("broken")
    (problem,) = store.load()
    assert problem.loaded
    assert store.get("XNAS") == record


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"desired":"MAYBE"}', "\x00"])
def test_unreadable_desired_state_is_reported(root: Path, text: str) -> None:
    """The exchange is loaded as RUNNING, because a stop would drain a living feed."""
    put(root, "x.toml", exchange_toml())
    new_store(root)
    (root / "state" / "exchanges" / "XNAS.json").write_text(text)
    store = new_store(root)
    assert store.get("XNAS").wanted
    assert "desired state" in store.problems[0].message
    assert new_store(root).problems == ()


def test_state_of_a_removed_file_is_forgotten(root: Path) -> None:
    """A stop does not wait for another exchange of the same name, unless a file is broken."""
    path = put(root, "x.toml", exchange_toml())
    state = root / "state" / "exchanges" / "XNAS.json"
    new_store(root).set_desired("XNAS", DesiredState.STOPPED)
    path.write_text("broken")
    new_store(root)
    assert state.exists()
    path.unlink()
    new_store(root)
    assert not state.exists()


def test_unknown_names(root: Path) -> None:
    """Every operation on an unknown exchange is not found, never a success."""
    store = new_store(root)
    for act in (
        lambda: store.get("X"),
        lambda: store.update("X", "", '"e"'),
        lambda: store.delete("X", '"e"'),
        lambda: store.set_desired("X", DesiredState.RUNNING),
    ):
        with pytest.raises(NotFoundError) as caught:
            act()
        assert caught.value.metadata == {"exchange": "X"}


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_full_disk_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A write that fails at any step leaves the old files whole and nothing half-made."""
    put(root, "x.toml", exchange_toml("AAA", port=1))
    store = new_store(root)
    before, record = snapshot(root), store.get("AAA")

    def fail(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    target = Path if step == "replace" else os
    with monkeypatch.context() as broken:
        broken.setattr(target, step, fail)
        with pytest.raises(OSError, match="No space"):
            store.create(exchange_toml("BBB", port=2))
        if step != "link":
            with pytest.raises(OSError, match="No space"):
                store.update("AAA", exchange_toml("AAA", port=3), record.etag)
            with pytest.raises(OSError, match="No space"):
                store.set_desired("AAA", DesiredState.STOPPED)
    assert snapshot(root) == before
    assert store.list() == [record]
    assert new_store(root).list() == [record]


def test_update_that_fails_half_way_is_undone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the state is written and the file cannot be, the state goes back."""
    store = new_store(root)
    record = store.create(exchange_toml())
    before, replace = snapshot(root), Path.replace

    def fail_on_toml(self: Path, target: Path) -> Path:
        if target.suffix == ".toml":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_on_toml)
    with pytest.raises(OSError, match="No space"):
        store.update("XNAS", exchange_toml(port=2), record.etag)
    assert snapshot(root) == before
    assert store.get("XNAS") is record


def test_files_are_synced_before_they_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File content first, then the name, then the directory: the order that survives a crash."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        steps.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}'))}")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    files.write_atomic(tmp_path / "x", b"text", mode=0o640)
    assert steps == [f"fsync .x.{os.getpid()}.tmp", "rename to x", f"fsync {tmp_path.name}"]
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_state_file_tells_what_it_is(root: Path) -> None:
    """The desired state can be read by a person and names its schema."""
    new_store(root).create(exchange_toml())
    state = json.loads((root / "state" / "exchanges" / "XNAS.json").read_text())
    assert state["schema"] == "tickdeck.desired/v1"
    assert state["desired"] == "RUNNING"
