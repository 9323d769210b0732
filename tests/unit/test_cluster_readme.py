"""The tables of `cluster/README.md` say what the code says."""

from pathlib import Path

from cluster.settings import settings_reference
from models.policies.access import ACTIONS, GRANTS, DataClass

README = (Path(__file__).resolve().parents[2] / "cluster" / "README.md").read_text()


def test_every_setting_has_a_row_with_its_type_default_and_meaning() -> None:
    rows = [
        f"| `{key}` | {kind.replace('|', 'or')} | `{default}` | {meaning} |"
        for key, kind, default, meaning in settings_reference()
    ]
    missing = [row for row in rows if row not in README]
    assert not missing, "rows to put into cluster/README.md:\n" + "\n".join(missing)


def test_no_row_is_about_a_setting_that_is_gone() -> None:
    keys = {row[0] for row in settings_reference()}
    table = README.split("| setting |")[1].split("\n\n")[0].splitlines()[2:]
    assert {row.split("`")[1] for row in table} == keys


def test_every_role_has_a_row_with_what_it_sees_and_may_do() -> None:
    head = "| role | " + " | ".join(one.value for one in DataClass) + " | may |"
    rows = [
        f"| `{role.value}` | "
        + " | ".join("yes" if one in GRANTS[role] else "" for one in DataClass)
        + " | " + ", ".join(sorted(action.value for action in ACTIONS[role])) + " |"
        for role in GRANTS
    ]
    missing = [row for row in [head, *rows] if row not in README]
    assert not missing, "rows to put into cluster/README.md:\n" + "\n".join(missing)
