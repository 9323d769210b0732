"""Keys of the tiers: Parquet modular encryption of health columns, and the pseudonym key.

Master keys are files of 32 random bytes in the key folder, mode 0600, made on first use. Data keys
are made per file by Arrow and wrapped with a master key (AES-GCM), so that whoever copies a warm
file without the key folder reads no heart rate. The factory is made per use: a factory that lives
on keeps unwrapped keys for minutes, and would still open a file whose key has been destroyed.
"""

import base64
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cluster.private_files import secret_file
from models.errors import AccessError

HEALTH_KEY = "health"
FOOTER_KEY = "footer"
PSEUDONYM_KEY = "pseudonym"
_NONCE_BYTES = 12
_KEY_BYTES = 32


def master_key(key_dir: Path | str, name: str, may_create: bool = True) -> bytes:
    """The 32 bytes of master key `name`; made by whoever comes first when it does not exist yet.

    Raises AccessError when there is no such key, or the file holds something else.
    """
    path = Path(key_dir) / f"{name}.key"
    if not may_create and not path.exists():
        raise AccessError(f"no key {path.name} in {key_dir}")
    try:
        key = secret_file(path, lambda: secrets.token_bytes(_KEY_BYTES))
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}") from error
    if len(key) != _KEY_BYTES:
        raise AccessError(f"{path.name}: not a key of {_KEY_BYTES} bytes")
    return key


def encrypt_columns(key_dir: Path | str, columns: list[str]) -> Any:
    """Writer properties that encrypt `columns` and sign the footer; None for no columns."""
    if not columns:
        return None
    configuration = pe.EncryptionConfiguration(
        footer_key=FOOTER_KEY, column_keys={HEALTH_KEY: columns}, plaintext_footer=True,
        encryption_algorithm="AES_GCM_V1", double_wrapping=False, data_key_length_bits=256,
    )
    return _factory(key_dir).file_encryption_properties(_connection(), configuration)


def decrypt_columns(key_dir: Path | str) -> Any:
    """Reader properties for files written with `encrypt_columns`."""
    configuration = pe.DecryptionConfiguration(cache_lifetime=timedelta(seconds=1))
    return _factory(key_dir).file_decryption_properties(_connection(), configuration)


class _FileKms(pe.KmsClient):  # type: ignore[misc]
    """Wraps data keys with the master keys of one folder."""

    def __init__(self, key_dir: Path | str) -> None:
        super().__init__()
        self._key_dir = key_dir

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher(master_key_identifier).encrypt(
            nonce, key_bytes, master_key_identifier.encode()
        )
        return base64.b64encode(nonce + sealed)

    def unwrap_key(self, wrapped_key: str | bytes, master_key_identifier: str) -> bytes:
        raw = base64.b64decode(wrapped_key)
        cipher = self._cipher(master_key_identifier, may_create=False)
        return cipher.decrypt(
            raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], master_key_identifier.encode()
        )

    def _cipher(self, name: str, may_create: bool = True) -> AESGCM:
        return AESGCM(master_key(self._key_dir, name, may_create))


def _factory(key_dir: Path | str) -> pe.CryptoFactory:
    return pe.CryptoFactory(lambda _: _FileKms(key_dir))


def _connection() -> pe.KmsConnectionConfig:
    return pe.KmsConnectionConfig()
