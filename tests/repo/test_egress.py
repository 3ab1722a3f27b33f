"""Nobody in the control plane opens a connection but egress, which judges the address, and what calls places that only settings name."""

import ast
from pathlib import Path

import pytest

from tests.repo.test_control_plane_shape import MODULES, ROOT
from tests.repo.test_pure_cores import imported

OPENERS = {
    *("aiohttp", "ftplib", "http.client", "httpcore", "httpcore2", "httpx", "httpx2", "imaplib", "poplib", "pycurl", "requests"),
    *("smtplib", "socket", "socketserver", "telnetlib", "urllib.request", "urllib3", "websockets", "xmlrpc"),
}
CALLS = {"open_connection", "open_unix_connection", "create_connection", "create_datagram_endpoint", "sock_connect", "getaddrinfo", "connect_tcp"}
ALLOWED = {
    "egress/egress_http.py": "it is egress",
    "egress/resolver_system.py": "it is egress",
    "app.py": "listens",
    "gateway/file_xds.py": "Envoy's admin interface, which IAS_ENVOY_ADMIN names",
    "kubernetes/api.py": "the Kubernetes API, which IAS_KUBERNETES_KUBECONFIG or the pod's service account names",
    "publishing/canary_http.py": "the gateway, which IAS_GATEWAY_URL or IAS_CANARY_URL names",
    "mail/mailer_smtp.py": "the mail relay, which IAS_SMTP_HOST names",
}
"""With the reason. What only the operator names by a setting is our own infrastructure; PostgreSQL, Kafka and Valkey are reached by their drivers."""


def opens_connections(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    names = imported(tree)
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool({name for name in names if name in OPENERS or name.partition(".")[0] in OPENERS} | called & CALLS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_connections_are_opened_by_egress(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    assert name in ALLOWED or not opens_connections(path), f"controlplane/{name} opens connections: take the port `controlplane/egress/ports.py`"


def test_the_list_of_exceptions_is_not_longer_than_needed() -> None:
    assert [name for name in ALLOWED if not opens_connections(ROOT / name)] == []


def test_the_check_sees_what_it_is_for(tmp_path: Path) -> None:
    for number, source in enumerate(
        ("import httpx2", "from urllib import request", "import asyncio\nasyncio.open_connection('h', 1)", "import socket as s")
    ):
        (module := tmp_path / f"{number}.py").write_text(source)
        assert opens_connections(module), source
