"""`touchline token`: mints an access token with the local issuer, or a token for a Ray cluster.

The token goes to standard output and nowhere else. `--cluster` makes the shared secret that
`cluster.yaml` gives to every node.
"""

import argparse
import secrets
from pathlib import Path

from cluster.settings import load_settings


def main(argv: list[str] | None = None) -> int:
    """Print one token."""
    parser = argparse.ArgumentParser(prog="touchline token", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML settings file")
    parser.add_argument("--data-dir", type=Path, help="instead of the settings' data_dir")
    parser.add_argument("--subject", default="operator", help="who the token is for")
    parser.add_argument("--role", default="performance", help="what they may see")
    parser.add_argument("--team", default="", help="the team whose data they see; * for all")
    parser.add_argument("--ttl-s", type=int, default=0, help="life of the token")
    parser.add_argument("--cluster", action="store_true", help="a token for a Ray cluster instead")
    options = parser.parse_args(argv)
    if options.cluster:
        print(secrets.token_hex(32))
        return 0
    from cluster.identity import open_issuer

    overrides = {"data_dir": str(options.data_dir)} if options.data_dir else {}
    settings = load_settings(options.settings, overrides)
    issuer = open_issuer(settings.identity)
    print(issuer.mint(
        options.subject, options.role, options.ttl_s or None, {"team": options.team}
    ))
    return 0
