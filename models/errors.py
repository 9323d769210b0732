"""The error tree of Touchline.

Owns every exception that crosses a module border. Bad *data* is never an exception: it is a
counted value with a `Reason` (see `models.telemetry.reasons`). What is here is operating trouble
and misuse:

    TouchlineError
    +-- SchemaError          a payload or file that is not what it says it is
    +-- ConfigError          settings, roster or deploy files that cannot be used
    +-- LogError             the event log could not do what was asked
    |   +-- FencedError      the writer holds an old epoch: another owner has taken over
    |   +-- OffsetError      the offset asked for is not in the log (trimmed, or beyond its end)
    +-- AccessError          the caller is not known, or may not do this
    +-- ModelError           weights or a net that cannot be loaded or trusted

Every constructor hands all of its arguments to `super().__init__`, so that errors survive pickling
between Ray processes.
"""


class TouchlineError(Exception):
    """Base of every error raised on purpose."""


class SchemaError(TouchlineError):
    """A payload, packet or file does not follow its schema."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class ConfigError(TouchlineError):
    """Settings, a roster or a deploy file cannot be used as given."""


class LogError(TouchlineError):
    """The event log could not carry out a call."""


class FencedError(LogError):
    """The writer's epoch is older than the stream's: it must stop at once."""

    def __init__(self, stream: str, held_epoch: int, current_epoch: int) -> None:
        super().__init__(stream, held_epoch, current_epoch)
        self.stream = stream
        self.held_epoch = held_epoch
        self.current_epoch = current_epoch

    def __str__(self) -> str:
        return f"stream {self.stream}: epoch {self.held_epoch} is fenced by {self.current_epoch}"


class OffsetError(LogError):
    """The offset is trimmed away or lies beyond the end of the log."""

    def __init__(self, topic: str, offset: int, begin: int, end: int) -> None:
        super().__init__(topic, offset, begin, end)
        self.topic = topic
        self.offset = offset
        self.begin = begin
        self.end = end

    def __str__(self) -> str:
        return f"{self.topic}: offset {self.offset} is outside [{self.begin}, {self.end})"


class AccessError(TouchlineError):
    """The caller has no identity here, or policy denies the call."""


class ModelError(TouchlineError):
    """Weights or a net cannot be loaded, verified or run."""
