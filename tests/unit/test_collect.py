"""What a report reads of the log: the log holds what others wrote, and the report must come."""

import logging

import pytest

from cluster.eventlog.port import Record
from jobs.collect import read_events
from models.events.envelope import EVENT_TYPE, Event, to_cloudevent
from tests.unit.fakes_log import Clock, FakeLog


@pytest.mark.parametrize("payload", [
    b"", b"{", b"[]", b'{"data": {}}', b'{"data": 3}', b"[" * 20_000, b"\xff", b'{"data": null}',
])
def test_a_record_that_is_no_event_is_left_out_and_told(
    payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    log = FakeLog(Clock())
    shot = Event("shot", "v1", "m1", "flow/x", 0, 1, 1)
    log.append("events/v1", [Record("odd", 0, 1, payload)], 0)
    log.append("events/v1", [Record("flow/x", 0, 1, to_cloudevent(shot), EVENT_TYPE)], 0)
    with caplog.at_level(logging.WARNING):
        assert read_events(log, "v1") == [shot]
    assert "events/v1: 1 records are no events" in caplog.text
