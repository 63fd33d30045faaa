"""The lab's certificates: an authority, certificates for `lab.example` by it with either kind of key, and one that nobody signed."""

from __future__ import annotations

import shutil
from pathlib import Path

from processes import run_tool
from programs import CACHE

FILES = ("ca.pem", "cert.pem", "key.pem", "rsa.pem", "rsa-key.pem", "self.pem", "self-key.pem")
NAME = "lab.example"
_FOLDER = CACHE / "tls"

SERVER = "ssl_certificate ../cert.pem;\nssl_certificate_key ../key.pem;"
"""Directives for nginx, whose configuration lies in a folder below the certificates."""
RSA = SERVER.replace("cert.pem", "rsa.pem").replace("key.pem", "rsa-key.pem")
SELF_SIGNED = SERVER.replace("cert.pem", "self.pem").replace("key.pem", "self-key.pem")


def prepare() -> None:
    """Makes the certificates once."""
    if all((_FOLDER / name).is_file() for name in FILES):
        return
    _FOLDER.mkdir(parents=True, exist_ok=True)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    by_authority = ("-addext", "basicConstraints=critical,CA:FALSE", "-CA", _path("ca.pem"), "-CAkey", _path("ca-key.pem"))
    names = ("-addext", f"subjectAltName=DNS:{NAME}")
    _make("ca", *curve, "-subj", "/CN=lab authority")
    _make("cert", *curve, "-subj", f"/CN={NAME}", *names, *by_authority, key="key.pem")
    _make("rsa", "-newkey", "rsa:2048", "-subj", f"/CN={NAME}", *names, *by_authority)
    _make("self", *curve, "-subj", f"/CN={NAME}", *names)


def _make(name: str, *options: str, key: str = "") -> None:
    """One certificate and its key."""
    files = ["-keyout", _path(key or f"{name}-key.pem"), "-out", _path(f"{name}.pem")]
    run_tool(["openssl", "req", "-x509", "-nodes", "-days", "3650", *options, *files])


def _path(name: str) -> str:
    return str(_FOLDER / name)


def place(folder: Path) -> None:
    """Copies the certificates to where a scenario's programs run."""
    for name in FILES:
        shutil.copyfile(_FOLDER / name, folder / name)
