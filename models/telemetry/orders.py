"""Order: what a venue's edge is told to do differently for a while, and its bytes (JSON).

    thin    all calm flows of the venue at `level` 0 to 3 (see `models.edge.thinning`), 0: as usual
    whole   keep the full rate of `subject_id` until `until_ns`; `device_id` may say why
    demote  do not believe `device_id` until `until_ns`, where its subject has another live source

Everything can be taken back: `thin` with level 0, the others with an `until_ns` that has passed (0
always has). `until_ns` is event time of the match; `thin` may do without (0: until the next one, or
as long as the edge holds to one).
An order is for one match: the next one at the same venue begins without any.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from models.errors import SchemaError
from models.plain_fields import read_json

VERSION: Final = 1
MAX_LEVEL: Final = 3
MAX_TEXT: Final = 200
MAX_BYTES: Final = 4096
_MAX_NS: Final = 2**63 - 1


class OrderVerb(StrEnum):
    """See the module docstring."""

    THIN = "thin"
    WHOLE = "whole"
    DEMOTE = "demote"


@dataclass(frozen=True, slots=True)
class Order:
    """One order. Raises SchemaError when a field is out of bounds or missing for its verb.

    order_id  the same for the same decision, also when it is taken again after a restart
    reason    why, for people; issued_ns when, in the clock of whoever gave it
    """

    order_id: str
    match_id: str
    verb: OrderVerb
    reason: str
    issued_ns: int
    level: int = 0
    subject_id: str = ""
    device_id: str = ""
    until_ns: int = 0

    def __post_init__(self) -> None:
        needed = {"order_id", "match_id", "reason"} | _TARGETS[self.verb]
        for name in ("order_id", "match_id", "reason", "subject_id", "device_id"):
            _check_text(name, getattr(self, name), name in needed)
        for name, most in (("issued_ns", _MAX_NS), ("until_ns", _MAX_NS), ("level", MAX_LEVEL)):
            _check_whole(name, getattr(self, name), most)

    @property
    def target(self) -> str:
        """What it is about: a subject, a device, or "venue"."""
        return self.subject_id or self.device_id or "venue"

    def to_dict(self) -> dict[str, Any]:
        """Its JSON form: fields that may be absent and say nothing are left out."""
        known = asdict(self).items()
        return {name: value for name, value in known if name == "issued_ns" or value not in ("", 0)}


_TARGETS: Final[dict[OrderVerb, set[str]]] = {
    OrderVerb.THIN: set(), OrderVerb.WHOLE: {"subject_id"}, OrderVerb.DEMOTE: {"device_id"},
}
_FIELDS: Final = frozenset(Order.__dataclass_fields__)


def order_from(body: Any) -> Order:
    """The order that a JSON object says; fields of later versions are passed over. Raises
    SchemaError."""
    if not isinstance(body, dict):
        raise SchemaError("wrong_format", "an order is an object")
    known: dict[str, Any] = {name: body[name] for name in body if name in _FIELDS}
    try:
        known["verb"] = OrderVerb(known.get("verb", ""))
    except ValueError as error:
        raise SchemaError("unknown_verb", str(body.get("verb"))[:80]) from error
    try:
        return Order(**known)
    except TypeError as error:
        raise SchemaError("wrong_format", str(error)[:200]) from error


def encode_order(order: Order) -> bytes:
    """The bytes of `order`, at most `MAX_BYTES`."""
    body = {"schema_v": VERSION, **order.to_dict()}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode_order(payload: bytes) -> Order:
    """The order in `payload`. Raises SchemaError."""
    if len(payload) > MAX_BYTES:
        raise SchemaError("oversize", f"{len(payload)} bytes")
    try:
        body = read_json(payload)
    except ValueError as error:
        raise SchemaError("wrong_format", "an order is JSON") from error
    version = body.get("schema_v") if isinstance(body, dict) else None
    if type(version) is not int or not 1 <= version <= VERSION:
        raise SchemaError("unknown_version", str(version)[:80])
    return order_from(body)


def _check_text(name: str, value: Any, needed: bool) -> None:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise SchemaError("out_of_range", f"{name} is no short text")
    if needed and not value:
        raise SchemaError("missing_field", name)


def _check_whole(name: str, value: Any, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise SchemaError("out_of_range", f"{name} is not in 0..{most}")
