"""The audit chain: any change shows, rotation and processes do not break it."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from cluster.audit import MAX_FIELD_CHARS, AuditLog, Entry, Head, chain_files, verify_chain
from models.errors import LogError

DENIED = Entry("bet-1", "read", "athletes/a1/hr_bpm", "deny", "class not granted")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def filled(folder: Path, count: int, **options: int) -> Head:
    log = AuditLog(folder, clock_ns=lambda: 5, **options)
    return [log.append(DENIED) for _ in range(count)][-1]


def test_an_entry_says_who_did_what_and_when(folder: Path) -> None:
    filled(folder, 1)
    (path,) = chain_files(folder)
    entry = json.loads(path.read_text())
    assert entry["actor"] == "bet-1"
    assert (entry["seq"], entry["t_ns"], entry["decision"]) == (0, 5, "deny")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_chain_holds_and_goes_on_after_reopening(folder: Path) -> None:
    filled(folder, 3)
    head = filled(folder, 2)
    assert head.seq == 4
    report = verify_chain(folder, head)
    assert (report.holds, report.entries, report.first_seq, report.head) == (True, 5, 0, head)
    assert AuditLog(folder).head() == head


def test_every_change_of_a_byte_breaks_the_chain(folder: Path) -> None:
    head = filled(folder, 4)
    (path,) = chain_files(folder)
    content = path.read_bytes()
    for place in range(0, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 4
        path.write_bytes(changed)
        assert not verify_chain(folder, head).holds, place


@pytest.mark.parametrize("order", [[0, 2, 3], [1, 2, 3], [0, 1, 1, 2, 3], [0, 2, 1, 3]])
def test_removed_repeated_or_moved_lines_show(folder: Path, order: list[int]) -> None:
    filled(folder, 4)
    (path,) = chain_files(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[i] for i in order))
    report = verify_chain(folder)
    # A chain may begin late, since old files go; its first number then tells.
    assert not report.holds or report.first_seq == 1


def test_a_cut_off_tail_shows_against_an_anchor(folder: Path) -> None:
    head = filled(folder, 4)
    (path,) = chain_files(folder)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert verify_chain(folder).holds
    report = verify_chain(folder, head)
    assert not report.holds
    assert "anchored" in report.broken


def test_the_chain_runs_across_files_and_the_oldest_go(folder: Path) -> None:
    head = filled(folder, 60, rotate_bytes=1000, keep_files=3)
    assert len(chain_files(folder)) == 3
    report = verify_chain(folder, head)
    assert report.holds
    assert report.first_seq > 0
    assert report.head.seq == 59
    chain_files(folder)[1].unlink()
    assert not verify_chain(folder).holds


@pytest.mark.parametrize("left", [1, 40])
def test_a_half_written_line_is_cut_off_and_the_chain_goes_on(folder: Path, left: int) -> None:
    filled(folder, 12, rotate_bytes=1000)
    newest = chain_files(folder)[-1]
    with newest.open("ab") as file:
        file.write(b'{"seq": 12, "t_ns": 5, "actor": "someone"}'[:left])
    assert not verify_chain(folder).holds
    assert filled(folder, 1).seq == 12
    assert verify_chain(folder).holds


def test_a_half_written_first_line_of_a_new_file_is_cut_off_too(folder: Path) -> None:
    filled(folder, 3)
    (folder / f"audit-{3:020d}.jsonl").write_bytes(b'{"seq')
    assert filled(folder, 1).seq == 3
    assert verify_chain(folder).entries == 4


def test_threads_and_processes_make_one_chain(folder: Path) -> None:
    log = AuditLog(folder, rotate_bytes=4000)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            filled(folder, 20, rotate_bytes=4000)
            os._exit(0)
        children.append(child)
    threads = [
        threading.Thread(target=lambda: [log.append(DENIED) for _ in range(20)]) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    report = verify_chain(folder, log.head())
    assert (report.holds, report.entries) == (True, 80)


def test_a_long_field_is_cut(folder: Path) -> None:
    log = AuditLog(folder)
    log.append(Entry("😀" * 5000, "x" * 5000, "é\n" * 5000, "deny", "r" * 5000, "\0" * 5000))
    log.append(DENIED)
    assert verify_chain(folder).entries == 2
    first = json.loads(chain_files(folder)[0].read_text().splitlines()[0])
    assert len(first["actor"]) == MAX_FIELD_CHARS


def test_an_audit_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LogError, match="audit"):
        AuditLog(tmp_path / "file").append(DENIED)


def test_an_empty_chain_holds(folder: Path) -> None:
    assert verify_chain(folder).holds
    assert AuditLog(folder).head().seq == -1
