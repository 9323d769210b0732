"""Settings of webhooks, their secrets, and what `touchline webhooks` makes of them."""

import json
import stat

import pytest

from actors.webhooks_shell import WebhooksShell, secret_path, subscription_of
from cluster.eventlog.open import open_log
from cluster.eventlog.port import Record
from cluster.settings import Settings, load_settings
from jobs.webhooks import main
from models.errors import AccessError, ConfigError
from models.policies.access import Action, Role, may
from tests.unit.fakes_webhook import event_record
from tests.webhook_receiver import Receiver

HOOK = {"id": "board", "url": "https://board.example/hook", "role": "coach"}


def settings_with(tmp_path, *hooks) -> Settings:
    return load_settings(None, {"data_dir": str(tmp_path / "data"), "webhooks": list(hooks)}, {})


@pytest.mark.parametrize("url", [
    "https://board.example/hook?key=1", "https://[2001:db8::1]:8443/", "http://127.0.0.1:9000/x",
    "http://localhost/", "http://[::1]:80/",
])
def test_addresses_that_are_taken(tmp_path, url):
    assert settings_with(tmp_path, HOOK | {"url": url}).webhooks[0].url == url


@pytest.mark.parametrize("url", [
    "http://board.example/", "http://10.0.0.7/", "ftp://board.example/", "board.example", "https://",
    "https://me:secret@board.example/", "https://board.example:99999/", "https://bo ard/",
    "https://board.example:0/", "http://127.0.0.1.example/", "http://localhost.example/",
    "https://b\u00f6rd.example/", "https://board.example/\r\nx: y", "",
])
def test_addresses_that_are_refused(tmp_path, url):
    with pytest.raises(ConfigError, match=r"webhooks\.0\.url"):
        settings_with(tmp_path, HOOK | {"url": url})


@pytest.mark.parametrize("bad", [
    {"role": "research"}, {"role": "device-gateway"}, {"role": "athlete"}, {"role": "root"},
    {"id": "../up"}, {"id": ""}, {"more": 1},
])
def test_what_is_no_receiver_is_refused(tmp_path, bad):
    with pytest.raises(ConfigError, match="webhooks"):
        settings_with(tmp_path, HOOK | bad)


def test_two_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two webhooks have the same id"):
        settings_with(tmp_path, HOOK, HOOK)


def test_every_role_that_can_be_named_may_see_something_live(tmp_path):
    for role in Role:
        try:
            (hook,) = settings_with(tmp_path, HOOK | {"role": str(role)}).webhooks
        except ConfigError:
            continue
        assert may(hook.caller(), Action.LIVE).allow


def test_a_secret_is_made_once_for_its_owner_only(tmp_path):
    settings = settings_with(tmp_path, HOOK)
    (hook,) = settings.webhooks
    first = subscription_of(settings, hook)
    path = secret_path(settings, hook)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert subscription_of(settings, hook) == first
    assert len(first.secret) == 32
    path.write_text("whsec_short")
    with pytest.raises(AccessError, match="board") as refused:
        subscription_of(settings, hook)
    assert "short" not in str(refused.value)


def log_with_events(settings: Settings, kinds: tuple[str, ...]) -> list[str]:
    log, ids = open_log(settings.log.url), []
    for seq, kind in enumerate(kinds):
        event_id, record = event_record(kind, seq)
        ids.append(event_id)
        log.append("events/v1", [record], 0)
    log.close()
    return ids


def written(settings: Settings, tmp_path) -> str:
    path = tmp_path / "live.toml"
    tables = "".join(
        f'[[webhooks]]\nid = "{one.id}"\nurl = "{one.url}"\nrole = "{one.role}"\n'
        f'team = "{one.team}"\n' for one in settings.webhooks
    )
    path.write_text(f'data_dir = "{settings.data_dir}"\n{tables}')
    return str(path)


def test_the_shell_delivers_and_audits_what_it_withholds(tmp_path):
    settings = settings_with(tmp_path, HOOK | {"role": "betting"})
    secret = subscription_of(settings, settings.webhooks[0]).secret
    ids = log_with_events(settings, ("sprint", "man_down", "shot"))
    with Receiver(secret) as receiver:
        hook = settings.webhooks[0].model_copy(update={"url": receiver.url})
        told = settings.model_copy(update={"webhooks": (hook,)})
        shell = WebhooksShell(told.to_dict(), autostart=False)
        while not shell.settled() or len(receiver.events) < 2:
            shell.webhooks.step()
        stats = shell.stats()["webhooks"]["board"]
        shell.stop()
    assert receiver.ids() == [ids[0], ids[2]]
    assert (stats["taken"], stats["passed_over"], stats["state"]) == (2, 1, "ok")
    audited = "".join(p.read_text() for p in (tmp_path / "data" / "audit").glob("*.jsonl"))
    assert "health_biometric" in audited
    assert "betting:webhook/board" in audited


def test_the_command_makes_the_secret_that_it_names(tmp_path, capsys):
    settings = settings_with(tmp_path, HOOK)
    assert main(["--settings", written(settings, tmp_path)]) == 0
    path = secret_path(settings, settings.webhooks[0])
    assert str(path) in capsys.readouterr().out
    assert path.read_text().startswith("whsec_")


def test_the_command_tells_pings_and_sends_dead_letters_again(tmp_path, capsys):
    settings = settings_with(tmp_path, HOOK | {"team": "home"})
    secret = subscription_of(settings, settings.webhooks[0]).secret
    ids = log_with_events(settings, ("sprint", "fatigue_red", "man_down"))
    log = open_log(settings.log.url)
    for offset in (0, 1, 2, 7):
        event_id = ids[offset] if offset < 3 else "gone"
        body = {"venue_id": "v1", "offset": offset, "event_id": event_id}
        log.append("dead-letters/board", [
            Record("webhook/board/v1", offset, 1, json.dumps(body).encode())
        ], 0)
    log.append("dead-letters/board", [Record("odd", 0, 1, b"[1")], 0)
    log.close()
    with Receiver(secret) as receiver:
        hook = settings.webhooks[0].model_copy(update={"url": receiver.url})
        path = written(settings.model_copy(update={"webhooks": (hook,)}), tmp_path)
        assert main(["--settings", path]) == 0
        assert "5 dead letters" in (said := capsys.readouterr().out)
        assert "v1: event 0 of 3, 3 behind" in said
        assert main(["--settings", path, "--ping", "board"]) == 0
        receiver.events.clear()
        receiver.answers = [204, 503]
        assert main(["--settings", path, "--again", "board"]) == 1
        assert main(["--settings", path, "--again", "board"]) == 0
        assert "1 taken, 3 no longer there or not for it" in capsys.readouterr().out
        assert receiver.ids() == ids[:2]
        assert main(["--settings", path, "--again", "board"]) == 0
        assert len(receiver.events) == 2
        with pytest.raises(ConfigError, match="no webhook 'bored'"):
            main(["--settings", path, "--ping", "bored"])


def test_a_secret_s_path_is_meant_relative_to_the_file_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "live.toml"
    path.write_text(
        'data_dir = "data"\n[[webhooks]]\nid = "board"\nurl = "https://board.example/"\n'
        'role = "coach"\nsecret_file = "board.secret"\n'
    )
    monkeypatch.chdir("/")
    settings = load_settings(path, environ={})
    (hook,) = settings.webhooks
    assert secret_path(settings, hook) == tmp_path / "etc" / "board.secret"


def test_webhooks_can_come_from_the_environment(tmp_path):
    environ = {"TOUCHLINE_WEBHOOKS": json.dumps([HOOK]), "TOUCHLINE_DATA_DIR": str(tmp_path)}
    assert load_settings(environ=environ).webhooks[0].id == "board"
    with pytest.raises(ConfigError, match="TOUCHLINE_WEBHOOKS: not JSON"):
        load_settings(environ={"TOUCHLINE_WEBHOOKS": "["})
