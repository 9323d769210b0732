"""WebhooksShell: the webhooks as a process: secrets from their files, HTTP, audit, one thread.

`ray.remote` is applied where it is launched.
"""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

from actors.lives import next_incarnation
from actors.webhook_metrics import WebhookMetrics
from actors.webhook_ports import Subscription, WebhookPorts
from actors.webhook_sender import HttpSender
from actors.webhooks import Webhooks
from cluster.audit import AuditLog, Entry, open_audit
from cluster.clock import SteadyClock
from cluster.eventlog.open import open_log
from cluster.heap import settle_heap
from cluster.lean_arrow import spare_pandas
from cluster.metrics import Metrics
from cluster.names import WEBHOOKS
from cluster.private_files import secret_file
from cluster.settings import Settings
from cluster.webhook_settings import WebhookSettings
from models.errors import AccessError
from models.events.webhook import secret_from, secret_text
from models.policies.sight import withheld

POLL_S: Final = 0.02
SHOW_S: Final = 2.0
SECRET_BYTES: Final = 32
_log = logging.getLogger("touchline.webhooks")


def secret_path(tree: Settings, hook: WebhookSettings) -> Path:
    """Where the secret of a webhook lies."""
    default = Path(tree.identity.key_dir) / f"webhook-{hook.id}.secret"
    return Path(hook.secret_file).expanduser() if hook.secret_file else default


def subscription_of(tree: Settings, hook: WebhookSettings) -> Subscription:
    """The subscription of a webhook; makes its secret on first use. Raises AccessError."""
    path = secret_path(tree, hook)
    try:
        text = secret_file(path, lambda: secret_text(os.urandom(SECRET_BYTES)).encode() + b"\n")
        secret = secret_from(text.decode("ascii", "replace"))
    except (OSError, AccessError) as error:
        raise AccessError(f"webhook {hook.id}: {path}: {error}") from error
    return Subscription(hook.id, hook.url, hook.caller(), secret, frozenset(hook.types))


def tell_withheld(audit: AuditLog, one: Subscription) -> None:
    """Audit which classes of data are cut out of all that a receiver gets. Raises LogError."""
    classes = withheld(one.caller)
    if classes:
        who = f"{one.caller.role}:{one.caller.subject}"
        audit.append(Entry(who, "live", "events", "deny", ", ".join(classes)))


class WebhooksShell:
    """The webhooks of all venues. autostart: begin at once, as an actor must that Ray restarts by
    calling its constructor."""

    def __init__(self, settings: dict[str, Any], autostart: bool = True) -> None:
        spare_pandas()
        tree = Settings.from_dict(settings)
        subscriptions = [subscription_of(tree, hook) for hook in tree.webhooks]
        audit = open_audit(tree)
        for one in subscriptions:
            tell_withheld(audit, one)
        self._log = open_log(tree.log.url, tree.log.segment_bytes)
        self._sender = HttpSender()
        ports = WebhookPorts(self._log, self._sender, SteadyClock())
        self.webhooks = Webhooks(next_incarnation(self._log, WEBHOOKS), ports, subscriptions)
        self._metrics, self._shown_s = WebhookMetrics(Metrics("webhooks")), 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="webhooks", daemon=True)
        if autostart:
            self.start()

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stats(self) -> dict[str, Any]:
        """See `Webhooks.stats`."""
        with self._lock:
            return {**self.webhooks.stats(), "pid": os.getpid()}

    def settled(self) -> bool:
        """See `Webhooks.settled`. Raises LogError."""
        with self._lock:
            return self.webhooks.settled()

    def stop(self) -> None:
        """Stop delivering; a later life goes on from the cursors."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._sender.close()
        self._log.close()

    def _loop(self) -> None:
        settle_heap()
        while not self._stop.is_set():
            try:
                with self._lock:
                    moved = self.webhooks.step()
                self._show()
            except Exception:
                _log.exception("a turn of the webhooks failed; the next one goes on")
                moved = False
            if not moved:
                self._stop.wait(POLL_S)

    def _show(self) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= SHOW_S:
            self._shown_s = now_s
            self._metrics.show(self.stats())
