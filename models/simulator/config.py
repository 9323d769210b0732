"""What a simulated match is made of: length, rates, seed, and which faults it has.

Seconds are from the start of the match. Every fault can be scaled or switched off by itself.
"""

from dataclasses import dataclass, field

START_NS = 1_767_376_800_000_000_000
"""2026-01-02 18:00:00 UTC."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One device fault: `fault` is one of FAULT_CLASSES (not "none"), `agent` numbers the wearer
    (0-24). It grows from `onset_s` over `ramp_s`; then the device is unusable (see
    `models.simulator.faults`). "stuck" is of the heart strap, all others of the tag."""

    fault: str
    agent: int
    onset_s: float
    ramp_s: float = 150.0
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class Faults:
    """Sensor, device and network faults (DOMAIN B13). Rates are shares of packets or samples.

    loss_ratio         mean share of packets lost in Gilbert-Elliott bursts, healthy devices
    duplicate_ratio    share of packets that arrive twice
    max_delay_s        largest network delay; packets overtake each other within it
    spike_ratio        share of IMU and position samples hit by a single-sample outlier
    clock_ppm          standard deviation of device clock drift
    stuck_heart_s      from when on one heart sensor repeats its value (0 = never)
    dying_battery_s    from when on one tag's battery sags: half rate, reboot, death (0 = never)
    clock_jump_at_s, clock_jump_s   one tag's clock steps by so much at that time (0 = never)
    dropout_at_s       from when on one tag's loss climbs from 2 % to 40 % until it is silent
    hiccup_at_s, hiccup_s           nothing at all arrives for `hiccup_s` (0 = never)
    extra              further device faults, as given
    """

    loss_ratio: float = 0.003
    duplicate_ratio: float = 0.005
    max_delay_s: float = 0.150
    spike_ratio: float = 2e-5
    clock_ppm: float = 5.0
    stuck_heart_s: float = 180.0
    dying_battery_s: float = 240.0
    clock_jump_at_s: float = 150.0
    clock_jump_s: float = -0.6
    dropout_at_s: float = 300.0
    hiccup_at_s: float = 420.0
    hiccup_s: float = 1.5
    extra: tuple[PlannedFault, ...] = ()

    @staticmethod
    def none() -> "Faults":
        """A perfect feed: constant small delay, no loss, no drift."""
        return Faults(
            loss_ratio=0.0, duplicate_ratio=0.0, max_delay_s=0.02, spike_ratio=0.0, clock_ppm=0.0,
            stuck_heart_s=0.0, dying_battery_s=0.0, clock_jump_at_s=0.0, clock_jump_s=0.0,
            dropout_at_s=0.0, hiccup_at_s=0.0, hiccup_s=0.0,
        )


@dataclass(frozen=True, slots=True)
class MatchConfig:
    """One simulated match. The same config is the same match, byte for byte.

    `contact_rate` scales how often collisions, falls, jumps and impacts happen (1 = match-like).
    `fatigue_rate` scales how fast latent fatigue builds up (1 = about 0.6 after 90 minutes).
    """

    seed: int
    duration_s: float = 600.0
    imu_hz: int = 100
    pos_hz: int = 20
    ball_hz: int = 500
    start_ns: int = START_NS
    faults: Faults = field(default_factory=Faults)
    venue_id: str = ""
    match_id: str = ""
    contact_rate: float = 1.0
    fatigue_rate: float = 1.0

    def __post_init__(self) -> None:
        assert self.duration_s > 0, self.duration_s
        for hz, least, most in ((self.imu_hz, 10, 1000), (self.pos_hz, 10, 100)):
            assert least <= hz <= most, hz
            assert hz % 10 == 0, hz
        assert self.ball_hz in range(50, 1001, 50), self.ball_hz
