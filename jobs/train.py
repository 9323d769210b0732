"""Trains the nets from the simulator, judges them on matches, people and devices held apart, and
registers what beats its rule.

    python -m jobs.train [--net event|fatigue|failure|all] [--store FOLDER] [--quick] [--seed N]

Weights go to the store by their sha256, cards (Markdown) to `<store>/cards`. A net becomes
`champion` only when it beats its rule on the held-apart examples; otherwise it is kept without an
alias. `--ship` writes to the weights and cards that ship with the code.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cluster.model_store import SHIPPED, ModelStore
from models.nets.card import write_card
from models.nets.contract import NET_NAMES
from models.nets.event_data import EventExamples, event_examples, join
from models.nets.failure_data import failure_examples
from models.nets.fallback import fallback_predict
from models.nets.fatigue_data import FatigueExamples, fatigue_examples
from models.nets.judging import beats, judge_event, judge_failure, judge_fatigue, stressed
from models.nets.net import Net
from models.nets.registry import encode_weights
from models.nets.training import train_event, train_failure, train_fatigue
from models.simulator.match import MatchConfig


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is simulated and how long is trained. Seconds, matches, devices, epochs."""

    event_matches: tuple[int, int, int] = (14, 3, 5)
    event_s: int = 600
    event_epochs: int = 18
    fatigue_matches: tuple[int, int, int] = (14, 5, 5)
    fatigue_s: tuple[int, ...] = (2700, 3600, 5700)
    fatigue_epochs: int = 15
    devices: tuple[int, int, int] = (900, 300, 500)
    device_s: int = 2400
    failure_epochs: int = 12


QUICK = Plan((1, 1, 1), 80, 2, (1, 1, 1), (420,), 2, (60, 30, 40), 900, 2)


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained module and the numbers of its card."""

    name: str
    module: torch.nn.Module
    card: dict[str, float]


def event(plan: Plan, seed: int) -> Trained:
    """Matches of distinct seeds to train, calibrate and judge; judged at ordinary rates."""
    rng = np.random.default_rng(seed)
    many, few, held = plan.event_matches

    def matches(first: int, count: int, rate: float, seconds: int, plain: int) -> EventExamples:
        return join([
            event_examples(
                MatchConfig(seed * 1_000_000 + first + i, seconds, contact_rate=rate), rng, plain
            )
            for i in range(count)
        ])

    train = matches(10_000, many, 4.0, plan.event_s, 5)
    valid = matches(20_000, few, 4.0, plan.event_s, 5)
    test = matches(30_000, held, 1.0, round(plan.event_s * 1.5), 2)
    module = train_event(train, valid, plan.event_epochs, seed)
    predict = Net("event", module, "", {}).predict
    rule = partial(fallback_predict, "event")
    card = judge_event(test, "net", predict) | judge_event(test, "rule", rule)
    for how in ("noise", "mount", "thinned"):
        worse = EventExamples(
            stressed(test.windows, how, np.random.default_rng(seed)), test.labels, test.peak_g
        )
        for who, ask in (("net", predict), ("rule", rule)):
            card[f"{who}_macro_f1_{how}"] = judge_event(worse, who, ask)[f"{who}_macro_f1"]
    card |= {"train_windows": len(train), "test_windows": len(test), "test_matches": held}
    return Trained("event", module, card)


def fatigue(plan: Plan, seed: int) -> Trained:
    """Whole matches at different rates of tiring; the minutes alone are a second baseline."""
    rng = np.random.default_rng(seed)

    def configs(first: int, count: int) -> list[MatchConfig]:
        # Spread evenly, then shuffled: few matches must still cover slow and fast tiring alike.
        even = (np.arange(count) + 0.5) / count
        rates = np.exp(np.random.default_rng(seed + first).permutation(even) * 1.3 - 0.5)
        return [
            MatchConfig(
                seed * 1_000_000 + first + i, plan.fatigue_s[i % len(plan.fatigue_s)],
                fatigue_rate=float(rates[i]),
            )
            for i in range(count)
        ]

    train, valid, test = (
        fatigue_examples(configs(40_000 + 5_000 * number, count), rng)
        for number, count in enumerate(plan.fatigue_matches)
    )
    module = fit_fatigue(train, valid, plan, seed)
    card = judge_fatigue(test, "net", Net("fatigue", module, "", {}).predict)
    card |= judge_fatigue(test, "rule", partial(fallback_predict, "fatigue"))
    clock = fit_fatigue(_minutes_only(train), _minutes_only(valid), plan, seed)
    predict = Net("fatigue", clock, "", {}).predict
    card |= judge_fatigue(_minutes_only(test), "minutes", predict)
    card |= {"train_rows": len(train.target), "test_rows": len(test.target)}
    card["test_athletes"] = float(len(np.unique(test.subject)))
    return Trained("fatigue", module, card)


def fit_fatigue(
    train: FatigueExamples, valid: FatigueExamples, plan: Plan, seed: int
) -> torch.nn.Module:
    held = (valid.features, valid.target)
    return train_fatigue(train.features, train.target, held, plan.fatigue_epochs, seed)


def _minutes_only(examples: FatigueExamples) -> FatigueExamples:
    """The same examples with everything but the clock unknown."""
    features = np.full_like(examples.features, np.nan)
    features[:, 5] = examples.features[:, 5]
    return FatigueExamples(features, examples.target, examples.subject)


def failure(plan: Plan, seed: int) -> Trained:
    """Lives of distinct devices for training, calibration and judging."""
    train, valid, test = (
        failure_examples(count, plan.device_s, seed * 1_000_000 + number)
        for number, count in enumerate(plan.devices)
    )
    module = train_failure(
        train.features, train.fails, train.fault, (valid.features, valid.fails),
        plan.failure_epochs, seed,
    )
    card = judge_failure(test, "net", Net("failure", module, "", {}).predict)
    card |= judge_failure(test, "rule", partial(fallback_predict, "failure"))
    card |= {"train_devices": float(plan.devices[0]), "test_devices": float(plan.devices[2])}
    card["test_failures"] = float((test.failed_s < plan.device_s).sum())
    return Trained("failure", module, card)


TRAINERS: dict[str, Callable[[Plan, int], Trained]] = {
    "event": event, "fatigue": fatigue, "failure": failure,
}


def finite(card: dict[str, float]) -> dict[str, float]:
    """The numbers of a card that are defined (a precision without alarms is not)."""
    return {key: value for key, value in card.items() if math.isfinite(value)}


def register(trained: Trained, store: ModelStore, cards: Path, seed: int) -> str:
    """Keeps weights and card; champion when it beats its rule. Returns the sha256."""
    sha256 = store.put(encode_weights(trained.name, trained.module, finite(trained.card)))
    won = beats(trained.name, trained.card)
    if won:
        store.set_alias(trained.name, "champion", sha256)
    parameters = sum(p.numel() for p in trained.module.parameters())
    cards.mkdir(parents=True, exist_ok=True)
    text = write_card(trained.name, trained.card, sha256, parameters, seed, won)
    (cards / f"{trained.name}.md").write_text(text)
    return sha256


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is asked for. Prints one JSON line per net."""
    parser = argparse.ArgumentParser(prog="train", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--net", choices=(*NET_NAMES, "all"), default="all")
    parser.add_argument("--store", type=Path, default=Path(".touchline/models"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="tiny data, for tests")
    parser.add_argument("--ship", action="store_true", help="write what ships with the code")
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    root = SHIPPED if asked.ship else asked.store
    cards = SHIPPED.parent / "cards" if asked.ship else root / "cards"
    store = ModelStore(root)
    for name in NET_NAMES if asked.net == "all" else (asked.net,):
        begun = time.perf_counter()
        trained = TRAINERS[name](QUICK if asked.quick else Plan(), asked.seed)
        sha256 = register(trained, store, cards, asked.seed)
        print(json.dumps({
            "net": name, "sha256": sha256, "champion": beats(name, trained.card),
            "seconds": round(time.perf_counter() - begun, 1),
            "card": {key: round(value, 4) for key, value in finite(trained.card).items()},
        }), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
