"""Model cards: what a net is for, what it was judged on, its numbers beside those of its rule."""

from collections.abc import Mapping
from typing import Final

from models.nets.contract import FAILURE_ALARM, FAILURE_HORIZON_S, OUTPUT_NAMES
from models.nets.judging import DECIDES
from models.nets.modules import ARCHITECTURE

_ABOUT: Final = {
    "event": (
        "Tells impacts, collisions, falls and jump landings from ordinary peaks of "
        "acceleration, from 2.56 s of motion around the peak.",
        "Windows of candidate peaks (|acc| >= 4 g, weaker jump landings, and a sample of "
        "weaker ordinary peaks) of simulated matches. Training at four times the ordinary "
        "contact rate; judged on other matches (other seeds, so other athletes) at the "
        "ordinary rate.",
        "The simulator's contacts are stylised pulses, so these numbers are an upper bound: "
        "published collision detectors reach recall 0.76-0.93 and precision 0.83-0.96 on real "
        "players, and 0.65 for backs. Train again on labelled windows of your own before you "
        "act on it. The rule does not see the distance to other players here, which the live "
        "rule does.",
    ),
    "fatigue": (
        "An index of fatigue in [0, 1] with an 80 % band, from deviations of an athlete from "
        "the own level in the match so far. An indicator, not a medical device.",
        "Features every 30 s of simulated whole matches with different rates of tiring; truth "
        "is the simulator's latent fatigue. Judged on other matches and athletes.",
        "Latent fatigue in the simulator lowers speed and willingness to run and raises "
        "PlayerLoad per metre and heart rate by fixed formulas; real athletes differ. "
        "Published global models are near chance (55 %) on people they have not seen; "
        "personal baselines work. Read the index as a deviation from the own level, with its "
        "band, and never across people.",
    ),
    "failure": (
        "Probability that a device becomes unusable for at least 30 s within "
        f"{FAILURE_HORIZON_S / 60:.0f} minutes, and which fault it has.",
        "Health rows (one per second) of simulated device lives with the faults of the fault "
        "table, their precursors, and confounders that do not fail; healthy devices are "
        "right-censored. Judged on other devices. An alarm is true when the failure starts "
        "60-660 s after it; repeats within the window are one alarm; alarms are at "
        f"p >= {FAILURE_ALARM}.",
        "Fault shapes are those of the simulator. Sudden faults without a precursor (four in "
        "ten stuck sensors, radios that die without fading) cannot be foreseen and count as "
        "missed. The rule is battery under 20 % or EWMA loss over 10 %, plus limits on "
        "spikes, noise, stuck and clipped samples. Probabilities are calibrated for the "
        "simulated share of faulty devices (45 % in 40 minutes): on a healthy fleet they are "
        "too high, until calibrated on its own history.",
    ),
}


def write_card(
    name: str, card: Mapping[str, float], sha256: str, parameters: int, seed: int, champion: bool
) -> str:
    """The card as Markdown."""
    purpose, data, limits = _ABOUT[name]
    decides = DECIDES[name]
    verdict = "beats" if champion else "does NOT beat"
    lines = [
        f"# {name} net", "", purpose, "",
        f"- Architecture `{ARCHITECTURE[name]}`, {parameters:,} parameters, weights `{sha256}`",
        f"- Output: {', '.join(OUTPUT_NAMES[name])}",
        f"- Training: `python -m jobs.train --net {name} --seed {seed}`",
        f"- Verdict: it {verdict} its rule on `{decides}` "
        f"({card[f'net_{decides}']:.3f} against {card[f'rule_{decides}']:.3f})",
        "", "## Data", "", data, "", *_counts(card), "", "## Numbers, held apart", "",
        *_table(card), "", "## Limits", "", limits, "",
    ]
    return "\n".join(lines)


def _counts(card: Mapping[str, float]) -> list[str]:
    return [
        f"- {key.replace('_', ' ')}: {value:,.0f}"
        for key, value in card.items()
        if key.startswith(("train_", "test_"))
    ]


def _table(card: Mapping[str, float]) -> list[str]:
    """One row per number, one column per predictor."""
    sides = [s for s in ("net", "rule", "minutes") if any(k.startswith(f"{s}_") for k in card)]
    numbers = [key.removeprefix("net_") for key in card if key.startswith("net_")]
    titles = {"net": "net", "rule": "rule", "minutes": "minutes of play alone"}
    rows = [
        "| number | " + " | ".join(titles[s] for s in sides) + " |",
        "|---|" + "---:|" * len(sides),
    ]
    for number in numbers:
        values = [card.get(f"{side}_{number}") for side in sides]
        rows.append(
            f"| {number.replace('_', ' ')} | "
            + " | ".join("-" if v is None or v != v else f"{v:.3f}" for v in values)
            + " |"
        )
    return rows
