"""The lab's certificates: an authority, one certificate for `lab.example` by it, and one that nobody signed."""

from __future__ import annotations

import shutil
from pathlib import Path

from processes import run_tool
from programs import CACHE

FILES = ("ca.pem", "cert.pem", "key.pem", "self.pem", "self-key.pem")
NAME = "lab.example"
_FOLDER = CACHE / "tls"

SERVER = "ssl_certificate ../cert.pem;\nssl_certificate_key ../key.pem;"
"""Directives for nginx, whose configuration lies in a folder below the certificates."""
SELF_SIGNED = SERVER.replace("cert.pem", "self.pem").replace("key.pem", "self-key.pem")


def prepare() -> None:
    """Makes the certificates once."""
    if all((_FOLDER / name).is_file() for name in FILES):
        return
    _FOLDER.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]
    names = ["-addext", f"subjectAltName=DNS:{NAME}"]

    def path(name: str) -> str:
        return str(_FOLDER / name)

    run_tool(
        [
            "openssl",
            "req",
            "-x509",
            *key,
            "-subj",
            "/CN=lab authority",
            "-keyout",
            path("ca-key.pem"),
            "-out",
            path("ca.pem"),
        ]
    )
    run_tool(
        [
            "openssl",
            "req",
            "-x509",
            *key,
            "-subj",
            f"/CN={NAME}",
            *names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            path("ca.pem"),
            "-CAkey",
            path("ca-key.pem"),
            "-keyout",
            path("key.pem"),
            "-out",
            path("cert.pem"),
        ]
    )
    run_tool(
        [
            "openssl",
            "req",
            "-x509",
            *key,
            "-subj",
            f"/CN={NAME}",
            *names,
            "-keyout",
            path("self-key.pem"),
            "-out",
            path("self.pem"),
        ]
    )


def place(folder: Path) -> None:
    """Copies the certificates to where a scenario's programs run."""
    for name in FILES:
        shutil.copyfile(_FOLDER / name, folder / name)
