"""`control.db` of a topic: the cursors of its consumers, and the damage that its readers have met.

Kept apart from the segments, so that consumers never wait for writers and cursors outlive segments.
Same table and checksums as the writers' state; keys "cursor/<group>" and "damage/<begin>" -> end.
"""

import logging
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cluster.eventlog.sqlite_folder import CONTROL, TopicFolder
from cluster.eventlog.sqlite_pages import SMALL_BYTES
from cluster.eventlog.sqlite_pool import ConnectionPool, create_database
from cluster.eventlog.sqlite_reader import Damage
from cluster.eventlog.sqlite_rows import STATE_SCRIPT, DamageError, read_state, write_state

MAX_DAMAGE_RANGES: Final = 10_000
_log = logging.getLogger("touchline.eventlog")


class Control:
    """Cursors and damage of all topics of a log. Damage met by this process is kept here too."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._met: dict[str, dict[int, int]] = {}

    def set_cursor(self, folder: TopicFolder, group: str, offset: int) -> None:
        """Durable. Raises sqlite3.Error, OSError."""
        self._write(folder, {f"cursor/{group}": offset})

    def cursor(self, folder: TopicFolder, group: str) -> int | None:
        """The committed cursor, None if there is none. Raises sqlite3.Error, DamageError."""
        path = folder.path / CONTROL
        if not path.exists():
            return None
        with self._pool.lease(path, "read") as connection:
            return read_state(connection, [f"cursor/{group}"]).get(f"cursor/{group}")

    def report(self, folder: TopicFolder, damages: Sequence[Damage]) -> Counter[str]:
        """Log and remember damage; the number of records newly found damaged, by reason."""
        met = self._met.setdefault(folder.topic, {})
        counts: Counter[str] = Counter()
        fresh: dict[str, int] = {}
        for damage in damages:
            known = met.get(damage.begin, damage.begin)
            if known >= damage.end or len(met) >= MAX_DAMAGE_RANGES:
                continue
            met[damage.begin] = damage.end
            fresh[f"damage/{damage.begin}"] = damage.end
            counts[damage.reason] += damage.end - known
            _log.warning(
                "topic %s: offsets [%d, %d) are damaged (%s) and are skipped",
                folder.topic, damage.begin, damage.end, damage.reason,
            )
        if fresh:
            # Readers may be where nothing can be written; what this process met it still tells.
            with suppress(sqlite3.Error, DamageError, OSError):
                self._write(folder, fresh)
        return counts

    def past_damage(self, topic: str, offset: int) -> int:
        """The end of the damaged range that begins at `offset`, or `offset` itself."""
        met = self._met.get(topic)
        return offset if met is None else met.get(offset, offset)

    def damaged(self, folder: TopicFolder, begin: int) -> tuple[tuple[int, int], ...]:
        """Disjoint sorted ranges of damaged offsets from `begin` on."""
        ranges = dict(self._met.get(folder.topic, {}))
        path = folder.path / CONTROL
        if path.exists():
            with suppress(sqlite3.Error, DamageError), self._pool.lease(path, "read") as connection:
                for key, end in read_state(connection).items():
                    if key.startswith("damage/"):
                        at = int(key.removeprefix("damage/"))
                        ranges[at] = max(end, ranges.get(at, end))
        return _merged(ranges, begin)

    def _write(self, folder: TopicFolder, values: dict[str, int]) -> None:
        path = folder.path / CONTROL
        if not path.exists():
            folder.add_database(CONTROL, _build)
        with self._pool.lease(path, "write") as connection:
            connection.execute("BEGIN IMMEDIATE")
            write_state(connection, values)
            connection.execute("COMMIT")


def _build(path: Path) -> None:
    create_database(path, STATE_SCRIPT, SMALL_BYTES).close()


def _merged(ranges: dict[int, int], begin: int) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted((max(low, begin), high) for low, high in ranges.items()):
        if high <= low:
            continue
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
