"""A certificate for localhost, made at test time: none is committed, none expires."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # kept until the interpreter ends

_OPENSSL_CONFIG = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
subjectAltName = DNS:localhost, IP:127.0.0.1
basicConstraints = critical, CA:TRUE
"""


@functools.lru_cache(maxsize=1)
def tls_files() -> tuple[Path, Path]:
    """(certificate, key) for localhost, made now by the openssl command; skips the test where there is none."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tempfile.TemporaryDirectory()
    _FOLDERS.append(folder)
    config, certificate, key = (Path(folder.name, name) for name in ("openssl.cnf", "certificate.pem", "key.pem"))
    config.write_text(_OPENSSL_CONFIG, encoding="utf-8")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", str(config)]
    made = subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, text=True, timeout=60
    )
    if made.returncode != 0:
        pytest.skip(f"openssl could not make a certificate: {made.stderr[-200:]}")
    return certificate, key
