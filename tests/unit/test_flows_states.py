"""State rows as Arrow bytes."""

import numpy as np
import pyarrow as pa
import pytest

from models.errors import SchemaError
from models.flows.config import ALGO_VERSION, FlowConfig
from models.flows.states import decode_states, encode_states
from models.nets.contract import FATIGUE_FEATURES
from tests.unit.flow_world import ball, lps, play, roster_of

ROSTER = roster_of(2)
IDS = [subject.subject_id for subject in ROSTER.subjects]


def effects():
    t = np.arange(60) / 20
    return play(ROSTER, lps(0, t, 3.0 * t, 0.0), ball(ROSTER, t, 3.0 * t, 1.0))


def test_states_keep_their_values_subjects_and_status():
    for states in effects().states:
        table = decode_states(encode_states(states, IDS))
        assert table.num_rows == len(states)
        assert table.column("subject_id").to_pylist() == [IDS[s] for s in states.subject]
        status = "final" if states.final else "provisional"
        assert set(table.column("status").to_pylist()) == {status}
        for name, column in states.columns.items():
            assert np.array_equal(table.column(name).to_numpy(), column, equal_nan=True), name


def test_persons_and_the_ball_have_the_promised_columns():
    wanted = {
        "x_m", "y_m", "speed_mps", "accel_mps2", "distance_m", "z1_m", "z5_m", "hsr_m", "sprint_n",
        "max_speed_mps", "acc_n", "dec_n", "player_load_au", "hr_bpm", "hr_mean_bpm", "hr_pct",
        "trimp", "dbal_m", "dbal_pct", "metabolic_power_wkg", "hmld_m", "fatigue_index",
        "fatigue_low", "fatigue_high", "coverage", "age_ms", "hr_age_ms", "intensity",
    }
    person, ball_rows = (s for s in effects().states if s.final)
    assert wanted <= set(person.columns)
    assert {"z_m", "kick_n", "poss_team", "poss_home_s", "poss_away_s"} <= set(ball_rows.columns)
    assert person.columns["sprint_n"].dtype == np.int32


def test_a_touching_player_is_named_beside_the_ball():
    (states,) = [s for s in effects().states if s.final and "poss_subject" in s.columns]
    table = decode_states(encode_states(states, IDS))
    named = states.columns["poss_subject"][0]
    assert table.column("poss_subject_id").to_pylist() == [IDS[named] if named >= 0 else None]


def test_metadata_say_how_numbers_were_made():
    (states, *_) = effects().states
    metadata = decode_states(encode_states(states, IDS)).schema.metadata
    assert metadata[b"algo_version"] == ALGO_VERSION.encode()
    assert b"effort_enter_mps2" in metadata[b"metric"]
    assert b"Kalman" in metadata[b"metric"]
    assert FlowConfig().describe()["impact_g"] == 5.0
    assert len(FATIGUE_FEATURES) == 8


def test_bytes_that_are_no_states_are_refused():
    payload = encode_states(effects().states[0], IDS)
    for bad in (b"", b"garbage", payload[: len(payload) // 2]):
        with pytest.raises(SchemaError):
            decode_states(bad)
    assert isinstance(decode_states(payload), pa.Table)
