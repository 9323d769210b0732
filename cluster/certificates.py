"""The local certificate authority: X.509 certificates with SPIFFE URIs, for mutual TLS.

Owns the root (one file of mode 0600 with key and certificate, made on first use) and what a leaf
may say. Identities: `spiffe://<trust domain>/gateway/<venue>/<name>`, `/device/<venue>/<name>`,
`/service/<name>`. Keys are ECDSA P-256, which every TLS stack takes.
"""

import datetime
import ipaddress
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.private_files import secret_file
from models.errors import AccessError
from models.policies.access import Principal, Role

TRUST_DOMAIN: Final = "touchline.local"
ROOT_FILE: Final = "ca.pem"
ROOT_TTL_S: Final = 10 * 365 * 86_400
LEAF_TTL_S: Final = 90 * 86_400
_BACKDATE_S: Final = 300
_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_ID: Final = re.compile(
    rf"spiffe://({_PART})/(?:(gateway|device)/({_PART})/({_PART})|service/({_PART}))"
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM bytes: a leaf, its private key, and the root that signed it."""

    certificate: bytes
    key: bytes
    ca: bytes


class CertificateAuthority:
    """Issues leaves. `clock` gives seconds UTC."""

    def __init__(
        self,
        key_dir: Path | str,
        trust_domain: str = TRUST_DOMAIN,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._domain = clock, trust_domain
        try:
            content = secret_file(Path(key_dir) / ROOT_FILE, self._new_root)
            key = serialization.load_pem_private_key(content, None)
            self._root = x509.load_pem_x509_certificate(content)
        except (OSError, ValueError) as error:
            raise AccessError(f"{key_dir}/{ROOT_FILE}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AccessError(f"{ROOT_FILE}: not an elliptic-curve key")
        self._key = key

    def root_pem(self) -> bytes:
        """The root certificate, for those who verify leaves."""
        return self._root.public_bytes(serialization.Encoding.PEM)

    def issue_certificate(
        self,
        spiffe_uri: str,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        ttl_s: int = LEAF_TTL_S,
    ) -> Certificate:
        """A leaf for both ends of TLS. Raises AccessError for an identity not of this domain."""
        match = _ID.fullmatch(spiffe_uri)
        if match is None or match[1] != self._domain or not 0 < ttl_s <= ROOT_TTL_S:
            raise AccessError(f"{spiffe_uri!r}: not an identity of {self._domain}")
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(spiffe_uri)]
        try:
            names += [x509.DNSName(name) for name in dns]
            names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        except ValueError as error:
            raise AccessError(f"{spiffe_uri}: {error}") from error
        key = ec.generate_private_key(ec.SECP256R1())
        common = match[4] or match[5]
        builder = self._builder(key.public_key(), common, self._root.subject, ttl_s)
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        leaf = (
            builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(_signer(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = leaf.public_bytes(serialization.Encoding.PEM)
        return Certificate(pem, _key_pem(key), self.root_pem())

    def _new_root(self) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{self._domain} root")])
        trusted = x509.UniformResourceIdentifier(f"spiffe://{self._domain}")
        root = (
            self._builder(key.public_key(), f"{self._domain} root", name, ROOT_TTL_S)
            .add_extension(x509.SubjectAlternativeName([trusted]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return _key_pem(key) + root.public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, key: ec.EllipticCurvePublicKey, common: str, issuer: x509.Name, ttl_s: int
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.fromtimestamp(int(self._clock()), datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(seconds=_BACKDATE_S))
            .not_valid_after(now + datetime.timedelta(seconds=ttl_s))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def gateway_uri(venue_id: str, name: str, trust_domain: str = TRUST_DOMAIN) -> str:
    """The identity of a venue's gateway."""
    return f"spiffe://{trust_domain}/gateway/{venue_id}/{name}"


def service_uri(name: str, trust_domain: str = TRUST_DOMAIN) -> str:
    """The identity of a service of ours."""
    return f"spiffe://{trust_domain}/service/{name}"


def principal_of(spiffe_uri: str, trust_domain: str = TRUST_DOMAIN) -> Principal:
    """The caller behind a verified peer identity. Raises AccessError for one that is not ours."""
    match = _ID.fullmatch(spiffe_uri)
    if match is None or match[1] != trust_domain:
        raise AccessError(f"{spiffe_uri[:200]!r}: not an identity of {trust_domain}")
    if match[5]:
        return Principal(spiffe_uri, Role.SERVICE, "service")
    kind = "device" if match[2] == "device" else "service"
    return Principal(spiffe_uri, Role.DEVICE_GATEWAY, kind, venues=(match[3],))


def may_send(spiffe_uri: str, venue_id: str, trust_domain: str = TRUST_DOMAIN) -> bool:
    """Whether a peer may send samples for a venue: its own gateways and devices, and services."""
    try:
        principal = principal_of(spiffe_uri, trust_domain)
    except AccessError:
        return False
    return not principal.venues or venue_id in principal.venues


def _signer(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )
