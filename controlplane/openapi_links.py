"""Links of the OpenAPI document (OpenAPI 3.1 §4.8.20): what was made by one call is an argument of others. Pure.

They follow from the form of the paths: `POST /org` makes what `/org/{org}` names. Clients find their way by them, and so does the
stateful phase of schemathesis: create, read, change, delete.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.routes import Operation

_PARAMETER = re.compile(r"\{(\w+)\}")
_MADE = "$response.body#/id"


def add_links(paths: Mapping[str, Any], operations: Iterable[Operation]) -> None:
    """Give every operation that makes something the links to what can be done with it."""
    known = [operation for operation in operations if operation.route.include_in_schema]
    made = {maker.route.path_format: _made_by(maker.route.path_format, known) for maker in known if maker.method == "POST"}
    all_made = frozenset[str]().union(*made.values())
    for maker in known:
        answer = paths[f"/api{maker.route.path_format}"][maker.method.lower()]["responses"].get("201")
        if answer is not None:
            own = {name: f"$request.path.{name}" for name in _PARAMETER.findall(maker.route.path_format)}
            values = own | made.get(maker.route.path_format, {})
            # What has no id in its answer is named by the path of the request itself.
            fresh = set(made.get(maker.route.path_format) or own)
            targets = [target for target in known if target is not maker and _goes_on(target, fresh, all_made - set(values))]
            if targets:
                answer["links"] = {target.name: _link(target, values) for target in targets}


def _made_by(path: str, known: Iterable[Operation]) -> dict[str, str]:
    """The parameter that names what a POST to this path has made."""
    below = re.compile(re.escape(path) + r"/\{(\w+)\}(/.*)?")
    return {found[1]: _MADE for other in known if (found := below.fullmatch(other.route.path_format))}


def _goes_on(target: Operation, fresh: set[str], unknown: frozenset[str]) -> bool:
    """Whether a call is about what was just made, and needs no other thing that would have to be made first."""
    needed = set(_PARAMETER.findall(target.route.path_format))
    return bool(needed & fresh) and not needed & unknown


def _link(target: Operation, values: Mapping[str, str]) -> dict[str, Any]:
    parameters = {name: values[name] for name in _PARAMETER.findall(target.route.path_format) if name in values}
    return {"operationId": target.name, "parameters": parameters}
