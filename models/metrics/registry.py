"""What every served column is: unit, formula and its source, filter, thresholds, class, version.

One entry per column of state rows; a column without one fails a test, so a new metric is described
in the commit that adds it. Which values the named thresholds have is said by the metadata of the
rows and by the roster: `about` puts the two together. Units are those of the column's name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from models.events import catalog as C  # noqa: N812
from models.events.catalog import CATALOG
from models.flows.config import ALGO_VERSION, FILTER
from models.flows.effects import THRESHOLDS
from models.metrics.registry_rows import BALL_ROWS, PERSON_ROWS

FILTERS: Final[Mapping[str, str]] = {
    "accel": FILTER,
    "speed": "causal constant-acceleration Kalman filter, or GNSS Doppler where given",
    "ball": "constant-velocity Kalman filter that opens when the ball is hit",
    "load": "above 100 Hz: causal 4th-order Butterworth low-pass 40 Hz, read on the 100 Hz grid",
    "motion": "calm flows: causal 4th-order Butterworth low-pass 20 Hz at 50 Hz; peaks unfiltered",
    "steps": "trunk: causal 2nd-order Butterworth band-pass 0.8-6 Hz of |a|; feet: 12 Hz low-pass",
    "feet": "causal 2nd-order Butterworth low-pass 12 Hz of the foot's rotation",
    "heart": "at the edge: spikes of 25 bpm repaired, stuck rates rejected; none after that",
    "rr": "live: 300-1300 ms, within 25 % of the median of the five intervals before",
    "none": "none",
}
EVENT_FILTERS: Final[Mapping[int, str]] = {
    **dict.fromkeys((C.SPRINT, C.BOUT, C.TURN), "speed"),
    **dict.fromkeys((C.ACCELERATION, C.DECELERATION), "accel"),
    **dict.fromkeys((C.IMPACT, C.COLLISION, C.JUMP, C.FALL, C.MAN_DOWN), "motion"),
    **dict.fromkeys((C.FATIGUE_AMBER, C.FATIGUE_RED, C.FATIGUE_CLEAR), "accel"),
    **dict.fromkeys(
        (C.KICK, C.GAIN, C.PASS, C.SHOT, C.GOAL_CANDIDATE, C.BALL_OUT, C.KICK_OFF, C.THROW_IN,
         C.CORNER, C.GOAL_KICK, C.FREE_KICK, C.PENALTY, C.CARRY, C.LOSS), "ball"
    ),
    **dict.fromkeys((C.HEART_RECOVERY, C.HEART_SUSPECT), "heart"),
}
"""What an event's input has been through, by code."""
PUBLISHED, ADAPTED, OWN, COUNT = "published", "adapted", "own", "count"
BASES: Final = {"P": PUBLISHED, "A": ADAPTED, "R": OWN, "C": COUNT}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One column. `thresholds` are names in `FlowConfig` or of the roster; `basis` says whether the
    formula is published, adapted with limits of ours, our own, or a count of events; `data_class`
    is that of the access policy ("plain": everybody who sees the subject)."""

    name: str
    unit: str
    data_class: str
    filter: str
    thresholds: tuple[str, ...]
    basis: str
    source: str
    about: str
    algo_version: str = ALGO_VERSION


def _specs(text: str) -> Iterator[MetricSpec]:
    """Rows `names | units | class | filter | thresholds | basis | source | what it is`: one unit
    for all names, or one each."""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        parts = (part.strip() for part in line.split("|", 7))
        names, units, cls, way, limits, basis, source, said = parts
        named, given = names.split(), units.split(", ")
        for name, unit in zip(named, given * (len(named) // len(given)), strict=True):
            yield MetricSpec(
                name, unit, cls, FILTERS[way], tuple(limits.split()), BASES[basis], source, said
            )


PERSON_METRICS: Final = {spec.name: spec for spec in _specs(PERSON_ROWS)}
BALL_METRICS: Final = {spec.name: spec for spec in _specs(BALL_ROWS)}


def spec_of(name: str, ball: bool = False) -> MetricSpec:
    """The entry of a column. KeyError when there is none."""
    return (BALL_METRICS if ball else PERSON_METRICS)[name]


def about(
    name: str, metadata: Mapping[str, Any], subject_id: str = "", ball: bool = False
) -> dict[str, Any]:
    """All that is known of how column `name` was made: its entry, and the values of its thresholds.

    metadata is that of the state rows (`models.flows.states`); what the roster set for `subject_id`
    replaces the common values. Thresholds that only a roster knows and did not set are left out.
    """
    spec = asdict(spec_of(name, ball))
    own = metadata.get("own", {}).get(subject_id, {})
    known = {**metadata, **own}
    spec["thresholds"] = {key: known[key] for key in spec["thresholds"] if key in known}
    if "metabolic_model" in spec["thresholds"]:
        spec["model"] = metadata["metabolic"]
    spec["algo_version"] = metadata.get("algo_version", spec["algo_version"])
    return spec


def event_rules(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of every event type: filter, thresholds, metrics, data class, algorithm version. An event
    says its version and its athlete's own thresholds (`limit_*`) itself."""
    return [
        {
            "type": spec.type, "filter": FILTERS[EVENT_FILTERS[code]],
            "thresholds": {name: metadata[name] for name in THRESHOLDS[code]},
            "metrics": list(spec.metrics), "policy_class": spec.policy_class,
            "algo_version": metadata["algo_version"],
        }
        for code, spec in enumerate(CATALOG)
    ]
