"""The metric registry: complete, in step with the policy and with the tables of the README."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.events.catalog import CATALOG
from models.flows.config import ALGO_VERSION, FlowConfig
from models.flows.effects import THRESHOLDS
from models.flows.layout import BALL_COLUMNS, PERSON_COLUMNS
from models.flows.state_columns import is_whole
from models.metrics.registry import (
    BALL_METRICS,
    EVENT_FILTERS,
    FILTERS,
    PERSON_METRICS,
    about,
    spec_of,
)
from models.policies.access import PLAIN_COLUMNS, column_class
from models.telemetry.thresholds import BOUNDS
from serve.catalogue import HEALTH, PERFORMANCE, catalogue, events
from tests.unit.flow_world import lps, play, roster_of

README = (Path(__file__).resolve().parents[2] / "models" / "README.md").read_text()
EVERY = [*PERSON_METRICS.values(), *BALL_METRICS.values()]


def test_every_column_has_an_entry_and_every_entry_a_column():
    assert set(PERSON_METRICS) == set(PERSON_COLUMNS)
    assert set(BALL_METRICS) == set(BALL_COLUMNS)


def test_columns_are_named_once():
    assert len(set(PERSON_COLUMNS)) == len(PERSON_COLUMNS)
    assert len(set(BALL_COLUMNS)) == len(BALL_COLUMNS)


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec.name)
def test_an_entry_says_what_made_the_number(spec):
    assert spec.about
    assert spec.unit
    assert spec.algo_version == ALGO_VERSION
    assert spec.filter in FILTERS.values()
    assert spec.source or spec.basis not in ("published", "adapted")
    known = {*FlowConfig._fields, *BOUNDS, "zones"}
    assert set(spec.thresholds) <= known


@pytest.mark.parametrize("spec", EVERY, ids=lambda spec: spec.name)
def test_the_data_class_is_that_of_the_access_policy(spec):
    if spec.data_class == "plain":
        assert spec.name in PLAIN_COLUMNS
    else:
        assert column_class(spec.name) == spec.data_class


@pytest.mark.parametrize(
    ("title", "columns"), [("Person", PERSON_COLUMNS), ("Ball", BALL_COLUMNS)]
)
def test_the_tables_of_the_readme_hold_exactly_the_columns(title, columns):
    found = re.search(rf"### {title} columns \((\d+)\)\n(.*?)\n###", README, re.S)
    count, section = found.groups()
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(columns)
    assert int(count) == len(columns)


def test_an_athletes_own_thresholds_are_told_for_that_athlete():
    roster = roster_of(2)
    own = replace(roster.subjects[0], thresholds={"effort_enter_mps2": 2.2})
    roster = replace(roster, subjects=(own, *roster.subjects[1:]))
    t = np.arange(40) / 20
    metadata = play(roster, lps(0, t, t, 0.0)).states[0].metadata
    mine, others = (about("acc_n", metadata, who)["thresholds"] for who in ("p0", "p1"))
    assert (mine["effort_enter_mps2"], others["effort_enter_mps2"]) == (2.2, 3.0)
    assert about("metabolic_work_jkg", metadata)["model"] == "di Prampero & Osgnach 2018"
    assert "Butterworth" in about("player_load_au", metadata)["filter"]


def test_a_column_that_does_not_exist_has_no_entry():
    with pytest.raises(KeyError):
        spec_of("luck")


def test_the_catalogue_serves_the_entry_to_who_may_see_the_metric():
    served = {m["name"]: m for m in catalogue(frozenset({PERFORMANCE}))}
    assert served["acc_n"]["made"]["thresholds"]["effort_hold_s"] == 0.5
    assert served["edi"]["made"]["source"] == "Osgnach 2010"
    assert "rmssd_ms" not in served
    health = {m["name"]: m for m in catalogue(frozenset({HEALTH}))}
    assert health["rmssd_ms"]["made"]["algo_version"] == ALGO_VERSION


def test_whole_numbers_are_told_by_name():
    assert is_whole("impact_z1_n")
    assert is_whole("hr_flag")
    assert not is_whole("hr_z1_s")


def test_every_event_says_its_filter_thresholds_and_version():
    rules = {rule["type"]: rule for rule in events()}
    assert list(rules) == [spec.type for spec in CATALOG]
    assert set(EVENT_FILTERS) == set(THRESHOLDS) == set(range(len(CATALOG)))
    assert rules["acceleration"]["thresholds"]["effort_hold_s"] == 0.5
    assert "Kalman" in rules["sprint"]["filter"]
    assert {rule["algo_version"] for rule in rules.values()} == {ALGO_VERSION}
