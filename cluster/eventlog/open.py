"""Opens the event log that a URL names. The only place that knows the adapters."""

from cluster.eventlog.port import EventLog
from cluster.eventlog.sqlite import SEGMENT_BYTES, SqliteLog
from models.errors import ConfigError


def open_log(url: str, segment_bytes: int = SEGMENT_BYTES) -> EventLog:
    """`sqlite:<folder>` (absolute or relative). Opens nothing yet. Raises ConfigError."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteLog(rest, segment_bytes)
    raise ConfigError(f"log.url: {url!r} names no event log; use sqlite:<folder>")
