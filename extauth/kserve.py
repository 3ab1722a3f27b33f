"""KServe's paths, v1 and v2 (Open Inference Protocol): what a client asks for by them, and how an engine is asked for it. Pure.

The engine's path is written anew from what was understood, never passed on: nothing that a client writes into a path can
mean something else to an engine.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from ias.endpoints import Endpoint

BY_SUFFIX: Final = {"predict": Endpoint.KSERVE_V1_PREDICT, "explain": Endpoint.KSERVE_V1_EXPLAIN, "infer": Endpoint.KSERVE_V2_INFER}
"""The last part of a path that is not KServe's own: `/models/{name}/predict`, and below a publication's own path."""

_VERB = {Endpoint.KSERVE_V1_PREDICT: ":predict", Endpoint.KSERVE_V1_EXPLAIN: ":explain", Endpoint.KSERVE_V1_STATUS: ""}
_TAIL = {Endpoint.KSERVE_V2_INFER: "/infer", Endpoint.KSERVE_V2_METADATA: "", Endpoint.KSERVE_V2_READY: "/ready"}
_SERVER = {
    "/v2": b'{"name":"ias","version":"2","extensions":[]}',
    "/v2/health/live": b'{"live":true}',
    "/v2/health/ready": b'{"ready":true}',
}
_V2_READS = {"": Endpoint.KSERVE_V2_METADATA, "ready": Endpoint.KSERVE_V2_READY}

_BY_NAME = re.compile(r"/models/([^/]+)/(predict|explain|infer)")
_V1 = re.compile(r"/v1/models/([^/]+):(predict|explain)")
_V2 = re.compile(r"/v2/models/([^/]+)(?:/versions/([A-Za-z0-9][A-Za-z0-9._-]{0,63}))?(?:/(infer|ready))?")


class Asked(NamedTuple):
    """What a path asks for."""

    endpoint: Endpoint
    model: str | None
    """None: of the server, not of a model."""
    version: str = ""


def read_path(method: str, path: str) -> Asked | None:
    """Read a path without its query; None for what is not KServe's, and for names that are not UTF-8."""
    if method == "POST":
        if (found := _V1.fullmatch(path) or _BY_NAME.fullmatch(path)) is not None:
            return _asked(BY_SUFFIX[found[2]], found[1])
        if (found := _V2.fullmatch(path)) is not None and found[3] == "infer":
            return _asked(Endpoint.KSERVE_V2_INFER, found[1], found[2] or "")
    elif method == "GET":
        if path in _SERVER:
            return Asked(Endpoint.KSERVE_V2_SERVER, None)
        if (found := _V2.fullmatch(path)) is not None and found[3] != "infer":
            return _asked(_V2_READS[found[3] or ""], found[1], found[2] or "")
    return None


def engine_path(endpoint: Endpoint, upstream_model: str, version: str = "") -> str:
    """Write the path by which an engine is asked; it knows the model by `upstream_model`."""
    name = quote(upstream_model, safe=":")
    if (verb := _VERB.get(endpoint)) is not None:
        return f"/v1/models/{name}{verb}"
    return f"/v2/models/{name}{f'/versions/{version}' if version else ''}{_TAIL[endpoint]}"


def about_server(path: str) -> bytes:
    """Answer what is asked of the server: the gateway is live, and ready, when it answers at all."""
    return _SERVER[path]


def decoded(name: str) -> str | None:
    """Decode a name in a path, once; None for what is not UTF-8."""
    try:
        return unquote(name, errors="strict") or None
    except UnicodeDecodeError:
        return None


def _asked(endpoint: Endpoint, name: str, version: str = "") -> Asked | None:
    model = decoded(name)
    return None if model is None else Asked(endpoint, model, version)
