"""The local issuer: access tokens for people and services, Ed25519 JWT, against a given clock.

Owns the signing key, a file of mode 0600 that is made on first use, and what a token must say to be
believed: algorithm, type, issuer, audience, expiry, role. What a role may see is decided in
`models.policies.access`; certificates and datagram keys are in `cluster.certificates` and
`cluster.datagram_keys`. Times are seconds UTC.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.private_files import secret_file
from cluster.settings import IdentitySettings
from models.errors import AccessError
from models.policies.access import Principal, Role

ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of access tokens, RFC 9068
KEY_FILE: Final = "issuer_ed25519.pem"
MAX_TOKEN_CHARS: Final = 8_192
MAX_TTL_S: Final = 31_536_000
LEEWAY_S: Final = 5.0
_OWN: Final = frozenset({"iss", "aud", "sub", "role", "iat", "nbf", "exp", "jti"})
_NO_CLAIMS: Final[Mapping[str, Any]] = {}


class Issuer:
    """Mints and verifies tokens. `clock` gives seconds UTC. Thread-safe."""

    def __init__(
        self,
        key_dir: Path | str,
        issuer: str = "touchline",
        audience: str = "touchline-api",
        ttl_s: int = 3_600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        content = secret_file(Path(key_dir) / KEY_FILE, _new_key)
        key = serialization.load_pem_private_key(content, None)
        if not isinstance(key, Ed25519PrivateKey):
            raise AccessError(f"{KEY_FILE}: not an Ed25519 key")
        self._key, self._public = key, key.public_key()
        raw = self._public.public_bytes_raw()
        self._key_id = hashlib.sha256(raw).hexdigest()[:16]
        self._issuer, self._audience = issuer, audience
        self._ttl_s, self._clock = ttl_s, clock

    def mint(
        self,
        subject: str,
        role: str,
        ttl_s: int | None = None,
        claims: Mapping[str, Any] = _NO_CLAIMS,
    ) -> str:
        """A token. claims: `kind`, `team`, `venues`, `athlete_id`, or others that are passed on.

        Raises AccessError for a role that does not exist, a life out of bounds, a claim of ours.
        """
        life = self._ttl_s if ttl_s is None else ttl_s
        if role not in set(Role) or not subject or not 0 < life <= MAX_TTL_S or _OWN & set(claims):
            raise AccessError(f"cannot mint for {subject!r} as {role!r} for {life} s")
        now = int(self._clock())
        body = {
            **claims, "iss": self._issuer, "aud": self._audience, "sub": subject,
            "role": str(role), "iat": now, "nbf": now, "exp": now + life, "jti": uuid.uuid4().hex,
        }
        headers = {"kid": self._key_id, "typ": TOKEN_TYPE}
        return jwt.encode(body, self._key, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str) -> Principal:
        """The caller whom a token names. Raises AccessError unless all of it is in order now."""
        return _principal(self.claims(token))

    def claims(self, token: str) -> dict[str, Any]:
        """The verified claims of a token. Raises AccessError."""
        if len(token) > MAX_TOKEN_CHARS:
            raise AccessError("the token is too long")
        try:
            whole = jwt.decode_complete(
                token, self._public, algorithms=[ALGORITHM], audience=self._audience,
                issuer=self._issuer,
                # Times are checked below, against the clock that we were given.
                options={
                    "require": sorted(_OWN), "strict_aud": True, "verify_exp": False,
                    "verify_nbf": False, "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, UnicodeError, RecursionError) as error:
            raise AccessError(f"the token is not good: {error}") from error
        header, claims = whole["header"], whole["payload"]
        if header.get("typ") != TOKEN_TYPE or header.get("kid") != self._key_id:
            raise AccessError("the token is of another type or key")
        self._check_times(claims)
        return dict(claims)

    def public_key_pem(self) -> bytes:
        """For others who verify our tokens."""
        return self._public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        times = [claims[name] for name in ("iat", "nbf", "exp")]
        if not all(isinstance(t, int) and not isinstance(t, bool) for t in times):
            raise AccessError("the token's times are not numbers")
        if now >= claims["exp"]:
            raise AccessError("the token has expired")
        if max(claims["nbf"], claims["iat"]) > now + LEEWAY_S:
            raise AccessError("the token is not valid yet")


def open_issuer(settings: IdentitySettings, clock: Callable[[], float] = time.time) -> Issuer:
    """The issuer of these settings; makes its key on first use. Raises AccessError."""
    try:
        return Issuer(
            settings.key_dir, settings.issuer, settings.audience, settings.token_ttl_s, clock
        )
    except (OSError, ValueError) as error:
        raise AccessError(f"{settings.key_dir}/{KEY_FILE}: {error}") from error


def _principal(claims: Mapping[str, Any]) -> Principal:
    texts = {name: claims.get(name, "") for name in ("role", "kind", "team", "athlete_id")}
    venues = claims.get("venues", [])
    if not all(isinstance(t, str) for t in texts.values()) or texts["role"] not in set(Role):
        raise AccessError("the token names no role that we know")
    if not isinstance(venues, list) or not all(isinstance(v, str) for v in venues):
        raise AccessError("the token's venues are not a list of names")
    return Principal(
        str(claims["sub"]), Role(texts["role"]), texts["kind"] or "person", texts["team"],
        tuple(venues), texts["athlete_id"], str(claims["jti"]), float(claims["exp"]),
    )


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
