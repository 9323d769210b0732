"""`touchline token`: mints an access token with the local issuer, or a token for a Ray cluster.

The token goes to standard output and nowhere else. `--cluster` makes the shared secret that
`cluster.yaml` gives to every node. `--gateway NAME --venue V --out FOLDER` writes everything that a
gateway needs to send for a venue: token, datagram key and client certificate, files of mode 0600.
"""

import argparse
import secrets
from pathlib import Path

from cluster.settings import Settings
from jobs.options import add_settings_options, settings_of
from models.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    """Print one token, or write one gateway's credentials."""
    parser = argparse.ArgumentParser(prog="touchline token", description=__doc__)
    add_settings_options(parser)
    parser.add_argument("--subject", default="operator", help="who the token is for")
    parser.add_argument("--role", default="performance", help="what they may see")
    parser.add_argument("--team", default="", help="the team whose data they see; * for all")
    parser.add_argument("--venue", action="append", default=[],
                        help="only for this venue; may be given several times")
    parser.add_argument("--ttl-s", type=int, default=0, help="life of the token")
    parser.add_argument("--gateway", default="", help="name of a gateway of --venue")
    parser.add_argument("--out", type=Path, help="folder for the gateway's credentials")
    parser.add_argument("--cluster", action="store_true", help="a token for a Ray cluster instead")
    options = parser.parse_args(argv)
    if options.cluster:
        print(secrets.token_hex(32))
        return 0
    from cluster.identity import open_issuer

    settings = settings_of(options)
    if options.gateway or options.out is not None:
        return _gateway(settings, options)
    claims = {"team": options.team, "venues": options.venue}
    issuer = open_issuer(settings.identity)
    print(issuer.mint(options.subject, options.role, options.ttl_s or None, claims))
    return 0


def _gateway(settings: Settings, options: argparse.Namespace) -> int:
    from jobs.gateway import write_credentials

    if not options.gateway or options.out is None or len(options.venue) != 1:
        raise ConfigError("a gateway's credentials need --gateway, --out and one --venue")
    write_credentials(
        settings, options.venue[0], options.gateway, options.out, options.ttl_s or None
    )
    print(f"{options.out}: credentials of gateway {options.gateway} of {options.venue[0]}")
    return 0
