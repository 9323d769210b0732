"""Identity: tokens, certificates and datagram keys; what is believed and what is not."""

import base64
import json
import pickle
import ssl
import stat
import threading
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from cluster.certificates import (
    CertificateAuthority,
    gateway_uri,
    may_send,
    principal_of,
    service_uri,
)
from cluster.datagram_keys import DatagramKey, open_datagram_key
from cluster.identity import KEY_FILE, Issuer, open_issuer
from cluster.settings import load_settings
from models.errors import AccessError
from models.policies.access import Role

NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(tmp_path: Path, clock: Clock) -> Issuer:
    return Issuer(tmp_path / "keys", clock=clock)


def test_a_minted_token_names_its_caller(issuer: Issuer) -> None:
    claims = {"team": "home", "venues": ["wembley"], "athlete_id": "a1", "kind": "service"}
    who = issuer.verify(issuer.mint("dr. x", "medical", 60, claims))
    assert (who.subject, who.role, who.kind, who.team) == ("dr. x", Role.MEDICAL, "service", "home")
    assert (who.venues, who.athlete_id, who.expires_s) == (("wembley",), "a1", NOW + 60)
    assert who.token_id
    assert pickle.loads(pickle.dumps(who)) == who


def test_a_token_ends_with_its_life(issuer: Issuer, clock: Clock) -> None:
    token = issuer.mint("x", "coach", 60)
    clock.now += 59.9
    issuer.verify(token)
    clock.now += 0.2
    with pytest.raises(AccessError, match="expired"):
        issuer.verify(token)
    clock.now = NOW - 60
    with pytest.raises(AccessError, match="not valid yet"):
        issuer.verify(token)


def test_the_key_is_private_and_outlives_the_process(tmp_path: Path, clock: Clock) -> None:
    token = Issuer(tmp_path / "keys", clock=clock).mint("x", "coach")
    path = tmp_path / "keys" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    assert Issuer(tmp_path / "keys", clock=clock).verify(token).subject == "x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_of_two_first_users_both_get_the_same_key(tmp_path: Path) -> None:
    issuers: list[Issuer] = []
    threads = [
        threading.Thread(target=lambda: issuers.append(Issuer(tmp_path / "keys"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({issuer.public_key_pem() for issuer in issuers}) == 1
    assert len(issuers) == 6


@pytest.mark.parametrize(
    "other", [{"issuer": "evil"}, {"audience": "other"}], ids=["issuer", "audience"]
)
def test_a_token_for_others_is_refused(
    tmp_path: Path, clock: Clock, issuer: Issuer, other: dict[str, str]
) -> None:
    foreign = Issuer(tmp_path / "keys", clock=clock, **other)  # type: ignore[arg-type]
    with pytest.raises(AccessError):
        issuer.verify(foreign.mint("x", "coach"))


def test_a_token_of_another_key_is_refused(tmp_path: Path, clock: Clock, issuer: Issuer) -> None:
    with pytest.raises(AccessError):
        issuer.verify(Issuer(tmp_path / "elsewhere", clock=clock).mint("x", "coach"))


def test_the_algorithm_is_ours_to_choose(issuer: Issuer, tmp_path: Path) -> None:
    body = issuer.claims(issuer.mint("x", "coach"))
    header = jwt.get_unverified_header(issuer.mint("x", "coach"))
    unsigned = jwt.encode(body, None, "none", {**header, "alg": "none"})
    # The public key as an HMAC secret: the classic confusion. PyJWT refuses to make it, so by hand.
    parts = [{**header, "alg": "HS256"}, body]
    text = ".".join(_b64(json.dumps(part).encode()) for part in parts)
    import hashlib
    import hmac

    mac = hmac.new(issuer.public_key_pem(), text.encode(), hashlib.sha256).digest()
    for forged in (unsigned, f"{text}.{_b64(mac)}"):
        with pytest.raises(AccessError):
            issuer.verify(forged)


def test_a_token_must_say_everything(issuer: Issuer, tmp_path: Path) -> None:
    key = (tmp_path / "keys" / KEY_FILE).read_bytes()
    good = issuer.mint("x", "coach")
    header, body = jwt.get_unverified_header(good), issuer.claims(good)
    kept = {"kid": header["kid"], "typ": header["typ"]}
    issuer.verify(jwt.encode(body, key, "EdDSA", kept))
    bad = [
        *({k: v for k, v in body.items() if k != name} for name in body),
        {**body, "role": "root"}, {**body, "role": ["medical"]}, {**body, "exp": True},
        {**body, "exp": "soon"}, {**body, "venues": "wembley"}, {**body, "team": 3},
    ]
    for claims in bad:
        with pytest.raises(AccessError):
            issuer.verify(jwt.encode(claims, key, "EdDSA", kept))
    for headers in ({**kept, "typ": "JWT"}, {**kept, "kid": "other"}, {"typ": kept["typ"]}):
        with pytest.raises(AccessError):
            issuer.verify(jwt.encode(body, key, "EdDSA", headers))


@given(st.text(max_size=300) | st.binary(max_size=100).map(lambda b: f"{_b64(b)}.{_b64(b)}.x"))
def test_rubbish_is_an_access_error(text: str) -> None:
    with pytest.raises(AccessError):
        _shared_issuer().verify(text)


def test_a_token_changed_anywhere_is_refused(issuer: Issuer) -> None:
    token = issuer.mint("x", "betting")
    for at in range(0, len(token) - 1, 3):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(AccessError):
            issuer.verify(changed)
    with pytest.raises(AccessError, match="too long"):
        issuer.verify("x" * 10_000)


@pytest.mark.parametrize(
    ("role", "ttl", "claims"),
    [("root", 60, {}), ("coach", 0, {}), ("coach", 10**9, {}), ("coach", 60, {"exp": 1})],
)
def test_a_token_that_must_not_be_is_not_minted(
    issuer: Issuer, role: str, ttl: int, claims: dict[str, int]
) -> None:
    with pytest.raises(AccessError):
        issuer.mint("x", role, ttl, claims)


def test_the_settings_open_the_issuer(tmp_path: Path) -> None:
    settings = load_settings(None, {"data_dir": str(tmp_path)}, {})
    token = open_issuer(settings.identity).mint("x", "ops")
    assert open_issuer(settings.identity).verify(token).role is Role.OPS
    (tmp_path / "keys" / KEY_FILE).write_bytes(b"not a key")
    with pytest.raises(AccessError, match=KEY_FILE):
        open_issuer(settings.identity)


def test_a_leaf_carries_its_identity_and_verifies_against_the_root(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    uri = gateway_uri("wembley", "gw-1")
    leaf = authority.issue_certificate(uri, ["localhost"], ["127.0.0.1"])
    parsed = x509.load_pem_x509_certificate(leaf.certificate)
    names = parsed.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]
    parsed.verify_directly_issued_by(x509.load_pem_x509_certificate(leaf.ca))
    assert CertificateAuthority(tmp_path).root_pem() == leaf.ca
    assert stat.S_IMODE((tmp_path / "ca.pem").stat().st_mode) == 0o600


def test_two_leaves_shake_hands_and_a_stranger_does_not(tmp_path: Path) -> None:
    ours, theirs = CertificateAuthority(tmp_path / "a"), CertificateAuthority(tmp_path / "b")
    server = _context(tmp_path, ours, service_uri("stadium"), ssl.PROTOCOL_TLS_SERVER)
    client = _context(tmp_path, ours, gateway_uri("wembley", "g"), ssl.PROTOCOL_TLS_CLIENT)
    stranger = _context(tmp_path, theirs, gateway_uri("wembley", "g"), ssl.PROTOCOL_TLS_CLIENT)
    peer = _handshake(client, server)
    assert ("URI", gateway_uri("wembley", "g")) in peer["subjectAltName"]
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError):
        _handshake(stranger, server)


@pytest.mark.parametrize(
    "uri", ["spiffe://evil/service/x", "https://x", "spiffe://touchline.local/root/x",
            "spiffe://touchline.local/gateway/only-venue", "spiffe://touchline.local/service/../x"],
)
def test_no_identity_outside_our_domain(tmp_path: Path, uri: str) -> None:
    with pytest.raises(AccessError):
        CertificateAuthority(tmp_path).issue_certificate(uri)
    with pytest.raises(AccessError):
        principal_of(uri)
    assert not may_send(uri, "wembley")


def test_a_gateway_sends_for_its_own_venue_only() -> None:
    uri = gateway_uri("wembley", "gw-1")
    assert principal_of(uri).role is Role.DEVICE_GATEWAY
    assert may_send(uri, "wembley")
    assert not may_send(uri, "anfield")
    assert may_send(service_uri("replay"), "anfield")


def test_a_datagram_is_believed_only_as_signed(tmp_path: Path) -> None:
    key = open_datagram_key(tmp_path, "wembley", "gw-1")
    signature = key.sign(b"packets")
    assert len(signature) == 32
    assert open_datagram_key(tmp_path, "wembley", "gw-1").verify(b"packets", signature)
    assert not key.verify(b"packetz", signature)
    assert not key.verify(b"packets", signature[:-1])
    assert not key.verify(b"packets", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not open_datagram_key(tmp_path, "wembley", "gw-2").verify(b"packets", signature)
    path = tmp_path / "gateways" / "wembley" / "gw-1.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    same_secret = DatagramKey(path.read_bytes(), "anfield", "gw-1")
    assert not same_secret.verify(b"packets", signature)


@pytest.mark.parametrize(("venue", "gateway"), [("../x", "g"), ("v", "a/b"), ("", "g")])
def test_a_gateway_name_cannot_leave_the_key_folder(
    tmp_path: Path, venue: str, gateway: str
) -> None:
    with pytest.raises(AccessError):
        open_datagram_key(tmp_path, venue, gateway)


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    open_datagram_key(tmp_path, "v", "g")
    (tmp_path / "gateways/v/g.key").write_bytes(b"short")
    with pytest.raises(AccessError):
        open_datagram_key(tmp_path, "v", "g")
    CertificateAuthority(tmp_path)
    (tmp_path / "ca.pem").write_bytes(b"rubbish")
    with pytest.raises(AccessError):
        CertificateAuthority(tmp_path)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_KEPT: list[Issuer] = []


def _shared_issuer() -> Issuer:
    if not _KEPT:
        import tempfile

        _KEPT.append(Issuer(tempfile.mkdtemp(), clock=Clock()))
    return _KEPT[0]


def _context(folder: Path, authority: CertificateAuthority, uri: str, side: int) -> ssl.SSLContext:
    leaf = authority.issue_certificate(uri, ["localhost"])
    pem = folder / f"{abs(hash((uri, leaf.key)))}.pem"
    pem.write_bytes(leaf.key + leaf.certificate)
    context = ssl.SSLContext(side)
    context.load_cert_chain(pem)
    context.load_verify_locations(cadata=leaf.ca.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, object]:
    """A TLS handshake in memory; what the server learned of its peer."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(a, b, server_hostname="localhost")
    far = server.wrap_bio(b, a, server_side=True)
    for _ in range(8):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    far.do_handshake()
    peer = far.getpeercert()
    assert peer
    return peer


def test_the_signing_key_is_ed25519(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    Issuer(tmp_path)
    content = (tmp_path / KEY_FILE).read_bytes()
    assert isinstance(serialization.load_pem_private_key(content, None), Ed25519PrivateKey)
