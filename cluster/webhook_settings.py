"""Settings of webhooks: who is told of events, where, and whom policy takes them for."""

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from cluster.settings_section import Section
from models.policies.access import Principal, Role

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class WebhookSettings(Section):
    """One receiver of events."""

    id: _Name = Field(description="Name of the webhook in cursors, actions and reports")
    url: str = Field(
        min_length=1, max_length=2048,
        description="Where events are posted: `https://`, or `http://` on loopback",
    )
    role: Literal[
        "coach", "medical", "performance", "broadcaster", "betting", "ops", "league", "service"
    ] = Field(description="Whom policy takes the receiver for: what it may not see is not sent")
    team: str = Field(default="", max_length=64, description="Whose athletes it may see; `*`: all")
    venues: tuple[_Name, ...] = Field(
        default=(), max_length=256, description="Only events of these venues; none: of all"
    )
    types: tuple[_Name, ...] = Field(
        default=(), max_length=128, description="Only these types of events; none: all"
    )
    secret_file: str = Field(
        default="",
        description="Secret of the signature, mode 0600, made if it is not there;"
        " empty: `<identity.key_dir>/webhook-<id>.secret`",
    )

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        """Health data must not cross a network in clear text."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ValueError("not a URL") from error
        if not host or port == 0 or not url.isascii() or any(c <= " " for c in url):
            raise ValueError("not a URL with a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a URL with a password in it ends in logs")
        if parts.scheme != "https" and not (parts.scheme == "http" and _on_loopback(host)):
            raise ValueError("must be https://, or http:// on loopback")
        return url

    def caller(self) -> Principal:
        """Whom policy takes the receiver for."""
        return Principal(
            f"webhook/{self.id}", Role(self.role), "service", self.team, self.venues
        )


def _on_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
