"""LinkPilot: a gateway's judgement of its uplink: meter, forecast and policy behind one door.

Tell it what came and what was carried, and ask which body to send next. Times are ns of a clock
that never jumps. `forecast` False leaves the backlog as the only signal.
"""

import math
from typing import Final

from models.policies.fading import FadingMean
from models.policies.link_forecast import LinkConfig, LinkForecast
from models.policies.link_meter import Carried, LinkMeter
from models.policies.link_policy import (
    SWITCHES,
    Choice,
    LinkPolicy,
    LinkPolicyConfig,
    LinkSignals,
)

LOW: Final = 0.1
"""The quantile of the forecast that counts as what the link will carry at least."""
PLAIN_ROW_BYTES: Final = 172.0
"""Of a row in a plain Arrow body of a tenth of a second, until a link's own rows are known."""
_LEARNING: Final = 0.1
_FADING_S: Final = 10.0


class LinkPilot:
    """`came`, `carried` and `decide`, each in time order. `decisions`: changes by reason."""

    def __init__(
        self, policy: LinkPolicyConfig | None = None, link: LinkConfig | None = None,
        forecast: bool = True,
    ) -> None:
        self._policy = LinkPolicy(policy)
        self._meter, self._forecast, self._ahead = LinkMeter(), LinkForecast(link), forecast
        self._row_bytes = PLAIN_ROW_BYTES
        self._rows_s = FadingMean()
        self.decisions: dict[str, int] = {}

    def came(self, rows: int, span_s: float) -> None:
        """`rows` that took `span_s` to come are to be sent."""
        if span_s <= 0:
            return
        self._rows_s.add(rows / span_s, span_s, _FADING_S)

    def carried(self, what: Carried, rows: int, plain_bytes: int) -> None:
        """A body of `rows`, `plain_bytes` long when plain, was under way; one that did not arrive
        has 0 bytes."""
        if rows:
            self._row_bytes += _LEARNING * (plain_bytes / rows - self._row_bytes)
        for rate in self._meter.add(what):
            self._forecast.observe(rate)

    def signals(self, now_ns: int, backlog_s: float) -> LinkSignals:
        """What the policy sees."""
        known = self._ahead and self._forecast.known
        low = self._forecast.quantile(LOW) if known else None
        if not self._ahead:
            low = math.inf  # nothing but a backlog tells that the link is narrow
        return LinkSignals(now_ns, backlog_s, low, self._rows_s.value * self._row_bytes)

    def decide(self, now_ns: int, backlog_s: float) -> Choice:
        """The body to send now; a change is counted."""
        choice = self._policy.decide(self.signals(now_ns, backlog_s))
        if choice.reason in SWITCHES:
            self.decisions[choice.reason] = self.decisions.get(choice.reason, 0) + 1
        return choice
