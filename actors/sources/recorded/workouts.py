"""FIT and TCX sessions: heart rate, and positions with speed where there are any.

Every file is a device of its own, named by the file. Latitude and longitude become metres around
the file's first fix (x east, y north): sessions lie anywhere on Earth and have no pitch. Fixes
farther away than a position may be are counted as out of range. Speed without a position is not a
GNSS row. Files are read whole; rows are held in memory.
"""

import warnings
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np

from actors.sources.recorded.blobs import Blob
from actors.sources.recorded.counters import by_rate
from actors.sources.recorded.mapping import to_ns
from actors.sources.recorded.recording import MemoryLane, Recording
from models.errors import SchemaError
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.bounds import MAX_TIME_NS, value_reasons
from models.telemetry.decoded import Refusal, bounded, refusal
from models.telemetry.geo import PitchAnchor, to_pitch
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason
from models.telemetry.roster import Device, Role, Roster, Subject

MAX_POINTS: Final = 10_000_000
_SEMICIRCLE_DEG: Final = 180 / 2**31
_NAN: Final = float("nan")

Point = tuple[int, float, float, float, float]
"""(t_ns, hr_bpm, lat_deg, lon_deg, speed_mps); NaN where unknown."""


def read_workouts(blobs: list[Blob], parser_of: Callable[[Blob], str], name: str) -> Recording:
    """All readable sessions among `blobs`. Raises SchemaError when none is readable."""
    subjects: list[Subject] = []
    devices: list[Device] = []
    parts: dict[Kind, list[SampleBlock]] = {}
    refusals: list[Refusal] = []
    notes: list[str] = []
    for blob in blobs:
        try:
            points = _PARSERS[parser_of(blob)](blob)
        except SchemaError as error:
            reason = Reason.__members__.get(error.reason.upper(), Reason.DECODER)
            detail = f"{blob.name}: {error.detail or error.reason}"
            refusals.append(refusal(reason, detail, _head(blob), blob.name))
            continue
        if not points:
            notes.append(f"{blob.name}: no samples (a settings or plan file)")
            continue
        subject = blob.name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        found = _blocks(points, len(devices), blob.name, refusals)
        if found:
            subjects.append(Subject(subject, Role.ATHLETE))
        for block in found:
            devices.append(Device(subject, block.kind, subject, 1.0))
            parts.setdefault(block.kind, []).append(block)
    if not parts:
        first = refusals[0].detail if refusals else "no file holds samples"
        raise SchemaError("decoder", f"expected FIT or TCX sessions: {first}")
    lanes = tuple(MemoryLane(concat_blocks(some)) for some in parts.values())
    roster = Roster(
        "recorded", name, sport="running", subjects=tuple(subjects), devices=tuple(devices)
    )
    return Recording("workouts", roster, lanes, tuple(bounded(refusals)), tuple(notes))


def _head(blob: Blob) -> bytes:
    try:
        return blob.head(4096)
    except SchemaError:
        return b""


def _blocks(
    points: list[Point], device: int, name: str, refusals: list[Refusal]
) -> list[SampleBlock]:
    """HEART and GNSS rows of one session; rows out of bounds are counted."""
    times = np.array([point[0] for point in points], np.int64)
    heart, lat, lon, speed = np.array([point[1:] for point in points], np.float64).T
    made: list[SampleBlock] = []
    known = ~np.isnan(heart)
    if known.any():
        made.append(_block(Kind.HEART, device, times[known], {"hr_bpm": heart[known]}))
    fixed = ~(np.isnan(lat) | np.isnan(lon))
    if fixed.any():
        first = int(np.argmax(fixed))
        x, y = to_pitch(lat[fixed], lon[fixed], PitchAnchor(lat[first], lon[first]))
        columns = {"pos_x_m": x, "pos_y_m": y, "speed_dop_mps": speed[fixed]}
        made.append(_block(Kind.GNSS, device + len(made), times[fixed], columns))
    kept = []
    for block in made:
        outside = value_reasons(block) != Reason.NONE
        if outside.any():
            detail = f"{block.kind} rows of {name} beyond the channel's bounds"
            refusals.append(Refusal(Reason.OUT_OF_RANGE, name, int(outside.sum()), detail))
        kept.append(block.take(~outside))
    if len(kept) == 2 and not len(kept[0]):
        kept[1] = SampleBlock(
            kept[1].kind, kept[1].device - 1, kept[1].boot, kept[1].seq, kept[1].t_event_ns,
            kept[1].t_ingest_ns, kept[1].flags, kept[1].values,
        )
    return [block for block in kept if len(block)]


def _block(
    kind: Kind, device: int, times: Any, columns: dict[str, Any]
) -> SampleBlock:
    n = len(times)
    order = np.argsort(times, kind="stable")
    values = np.full((len(KINDS[kind].channels), n), np.nan, np.float32)
    for name, column in columns.items():
        values[KINDS[kind].index(name)] = column[order]
    zeros = np.zeros(n, np.int64)
    # Smart recording leaves seconds out on purpose: only rows can be counted.
    seq = by_rate(zeros, zeros, zeros, 1.0).astype(np.uint32)
    return SampleBlock(
        kind, np.full(n, device, np.int32), np.zeros(n, np.uint32), seq, times[order],
        times[order], np.zeros(n, np.uint32), values,
    )


def _fit_points(blob: Blob) -> list[Point]:
    import fitdecode

    points: list[Point] = []
    payload = blob.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fitdecode.FitReader(BytesIO(payload)) as reader:
                for frame in reader:
                    if frame.frame_type == fitdecode.FIT_FRAME_DATA and frame.name == "record":
                        _add_fit(frame, points)
    except Exception as error:
        # The decoder is fed foreign bytes and raises whatever they lead it to.
        raise SchemaError("decoder", f"{type(error).__name__}: {error}") from error
    return points


def _add_fit(frame: Any, points: list[Point]) -> None:
    moment = frame.get_value("timestamp", fallback=None)
    if not isinstance(moment, datetime):
        return
    t_ns = to_ns(moment)
    if not 0 <= t_ns < MAX_TIME_NS or len(points) >= MAX_POINTS:
        raise SchemaError("decoder", f"record {len(points)} at {moment}")
    speed = _fit_number(frame, "enhanced_speed")
    points.append((
        t_ns, _fit_number(frame, "heart_rate"),
        _fit_number(frame, "position_lat") * _SEMICIRCLE_DEG,
        _fit_number(frame, "position_long") * _SEMICIRCLE_DEG,
        _fit_number(frame, "speed") if np.isnan(speed) else speed,
    ))


def _fit_number(frame: Any, name: str) -> float:
    value = frame.get_value(name, fallback=None)
    return float(value) if isinstance(value, int | float) else _NAN


def _tcx_points(blob: Blob) -> list[Point]:
    points: list[Point] = []
    payload = blob.read().strip()
    if b"<!DOCTYPE" in payload or b"<!ENTITY" in payload:
        # Entities can expand without bound, and no session needs them.
        raise SchemaError("wrong_format", "a TCX file does not declare entities")
    try:
        for _, node in ElementTree.iterparse(BytesIO(payload)):  # noqa: S314
            if node.tag.rsplit("}", 1)[-1] == "Trackpoint":
                _add_tcx(node, points)
                node.clear()
    except (ElementTree.ParseError, ValueError, OverflowError) as error:
        raise SchemaError("decoder", f"{type(error).__name__}: {error}") from error
    return points


def _add_tcx(node: ElementTree.Element, points: list[Point]) -> None:
    found: dict[str, str] = {}
    for child in node.iter():
        tag = child.tag.rsplit("}", 1)[-1]
        text = (child.text or "").strip()
        if tag == "HeartRateBpm":
            text = next((v.text or "" for v in child if v.tag.endswith("Value")), "").strip()
        if text:
            found[tag] = text
    if "Time" not in found:
        return
    t_ns = to_ns(datetime.fromisoformat(found["Time"]))
    if not 0 <= t_ns < MAX_TIME_NS or len(points) >= MAX_POINTS:
        raise ValueError(f"trackpoint {len(points)} at {found['Time']}")
    names = ("HeartRateBpm", "LatitudeDegrees", "LongitudeDegrees", "Speed")
    heart, lat, lon, speed = (float(found.get(name, "nan")) for name in names)
    points.append((t_ns, heart, lat, lon, speed))


_PARSERS: Final = {"fit": _fit_points, "tcx": _tcx_points}
