"""The delivery policy: answers, pauses, patience."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policies.delivery import (
    MOST_RETRY_AFTER_S,
    Backoff,
    DeliveryConfig,
    Outcome,
    Trial,
    Verdict,
    outcome_of,
)

CONFIG = DeliveryConfig(first_s=1.0, most_s=8.0, refusals=3, give_up_s=100.0)
S = 1_000_000_000


@pytest.mark.parametrize(("status", "outcome"), [
    (200, "taken"), (204, "taken"), (299, "taken"), (301, "away"), (307, "away"), (100, "away"),
    (400, "refused"), (401, "refused"), (404, "refused"), (422, "refused"), (408, "away"),
    (425, "away"), (429, "away"), (410, "gone"), (500, "away"), (503, "away"), (0, "away"),
])
def test_what_a_status_means(status, outcome):
    assert outcome_of(status) == outcome


def test_pauses_double_up_to_the_most_and_begin_anew_once_it_has_worked():
    backoff, pauses = Backoff(CONFIG), []
    for _ in range(6):
        backoff.failed(10 * S)
        pauses.append((backoff.due_ns - 10 * S) / S)
    assert pauses == [1, 2, 4, 8, 8, 8]
    backoff.over()
    assert (backoff.failures, backoff.due_ns) == (0, 0)


@given(st.integers(0, 5000), st.floats(-1e9, 1e12), st.integers(0, 2**62))
def test_no_pause_is_longer_than_what_is_believed_nor_shorter_than_ours(failures, asked_s, now_ns):
    backoff = Backoff(CONFIG)
    backoff.failures = failures
    backoff.failed(now_ns, asked_s)
    pause_s = (backoff.due_ns - now_ns) / S
    assert CONFIG.first_s <= pause_s <= MOST_RETRY_AFTER_S
    assert pause_s >= min(asked_s, MOST_RETRY_AFTER_S)


def test_a_message_that_is_refused_is_offered_a_few_times():
    trial = Trial(CONFIG)
    said = []
    for n in range(3):
        trial.begin(n)
        said.append(trial.judge(Outcome.REFUSED, n))
    assert said == [Verdict.AGAIN, Verdict.AGAIN, Verdict.DEAD]


def test_one_who_is_away_is_waited_for_but_not_for_ever():
    trial = Trial(CONFIG)
    for at_s in (5, 50, 104):
        trial.begin(at_s * S)
        assert trial.judge(Outcome.AWAY, at_s * S) is Verdict.AGAIN
    trial.begin(105 * S)
    assert trial.judge(Outcome.AWAY, 105 * S) is Verdict.DEAD
    assert trial.tries == 4


def test_taken_and_gone_end_it_at_once():
    trial = Trial(CONFIG)
    trial.begin(0)
    assert trial.judge(Outcome.TAKEN, 1000 * S) is Verdict.NEXT
    assert trial.judge(Outcome.GONE, 0) is Verdict.STOP


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 30)), max_size=300))
def test_no_message_is_tried_without_end(attempts):
    """Whatever comes back, after the last refusal or the last minute there is no other attempt."""
    trial, now_ns = Trial(CONFIG), 0
    for n, (outcome, pause_s) in enumerate(attempts):
        trial.begin(now_ns)
        verdict = trial.judge(outcome, now_ns)
        if verdict is not Verdict.AGAIN:
            return
        assert trial.refusals < CONFIG.refusals
        assert now_ns - trial.since_ns < CONFIG.give_up_s * S
        now_ns += int(max(pause_s, CONFIG.first_s) * S)
        assert n < CONFIG.give_up_s / CONFIG.first_s
