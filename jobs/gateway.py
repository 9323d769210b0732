"""What a venue's gateway shows when it sends: access token, datagram key, client certificate.

Owns where they come from: the local issuer of this machine's settings, or a folder that `touchline
token --gateway` has written there and that was carried to the gateway's machine. A folder holds
`token`, `client.pem`, `client.key`, `ca.pem` and `gateways/<venue>/<name>.key`, all of mode 0600.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.certificates import Certificate, CertificateAuthority, gateway_uri
from cluster.datagram_keys import DatagramKey, open_datagram_key
from cluster.identity import open_issuer
from cluster.private_files import secret_file, write_private
from cluster.settings import Settings
from models.errors import AccessError

ROLE = "device-gateway"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway of one venue. `token()` gives a token that is good now."""

    venue_id: str
    name: str
    token: Callable[[], str]
    datagram_key: Callable[[], DatagramKey]
    certificate: Callable[[], Certificate]


def local_gateway(settings: Settings, venue_id: str, name: str) -> Gateway:
    """A gateway whose credentials this machine's own issuer makes when they are asked for."""
    keys = settings.identity.key_dir
    return Gateway(
        venue_id, name,
        lambda: mint(settings, venue_id, name),
        lambda: open_datagram_key(keys, venue_id, name),
        lambda: CertificateAuthority(keys).issue_certificate(gateway_uri(venue_id, name)),
    )


def gateway_in(folder: Path, venue_id: str, name: str) -> Gateway:
    """A gateway whose credentials lie in `folder`. Its calls raise AccessError without them."""
    return Gateway(
        venue_id, name,
        lambda: _read(folder / "token").decode().strip(),
        lambda: _key_in(folder, venue_id, name),
        lambda: Certificate(*(_read(folder / n) for n in ("client.pem", "client.key", "ca.pem"))),
    )


def mint(settings: Settings, venue_id: str, name: str, ttl_s: int | None = None) -> str:
    """A token that allows to send for one venue and nothing else. Raises AccessError."""
    return open_issuer(settings.identity).mint(
        f"{venue_id}/{name}", ROLE, ttl_s, {"kind": "service", "venues": [venue_id]}
    )


def write_credentials(
    settings: Settings, venue_id: str, name: str, folder: Path, ttl_s: int | None = None
) -> None:
    """Write what `gateway_in` reads. Raises AccessError when the folder cannot be written."""
    own = local_gateway(settings, venue_id, name)
    own.datagram_key()  # makes it, when this is its first use
    leaf = own.certificate()
    key = Path("gateways") / venue_id / f"{name}.key"
    files = {
        folder / "token": mint(settings, venue_id, name, ttl_s).encode() + b"\n",
        folder / "client.pem": leaf.certificate, folder / "client.key": leaf.key,
        folder / "ca.pem": leaf.ca, folder / key: _read(Path(settings.identity.key_dir) / key),
    }
    try:
        for path, content in files.items():
            write_private(path, [content])
    except OSError as error:
        raise AccessError(f"{folder}: {error.strerror}") from error


def _key_in(folder: Path, venue_id: str, name: str) -> DatagramKey:
    _read(folder / "gateways" / venue_id / f"{name}.key")  # a missing key is not made here
    return open_datagram_key(folder, venue_id, name)


def _missing() -> bytes:
    raise FileNotFoundError("it does not exist")


def _read(path: Path) -> bytes:
    """A secret file that must be there already."""
    try:
        return secret_file(path, _missing)
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror or error}") from error
