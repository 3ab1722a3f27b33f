"""`get_tenant_model` and `list_tenant_models` over gRPC, from memory alone: no call waits for anything."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from google.protobuf.message import DecodeError

from controlplane.registry.answers import Answers, read_token
from controlplane.registry.index import Index
from controlplane.registry.models import Filter
from controlplane.registry.rules import Refusal, sentence
from ias.transport import Call, Status, UnaryMethod
from protos import GET_TENANT_MODEL, LIST_TENANT_MODELS
from protos.registry_pb2 import GetTenantModelRequest, ListTenantModelsRequest

MOST_ON_A_PAGE = 200
_PAGE = 50
_STATUSES = {
    Refusal.NOT_FOUND: Status.NOT_FOUND,
    Refusal.NOT_APPROVED: Status.PERMISSION_DENIED,
    Refusal.DEPRECATED: Status.FAILED_PRECONDITION,
}


class RegistryService:
    """Answers by the index while it `is_fresh`."""

    def __init__(self, index: Index, is_fresh: Callable[[float], bool]) -> None:
        self._index = index
        self._is_fresh = is_fresh
        self._answers = Answers()

    def methods(self) -> list[UnaryMethod]:
        """What to serve."""
        return [UnaryMethod(GET_TENANT_MODEL, self.get), UnaryMethod(LIST_TENANT_MODELS, self.list)]

    def get(self, calls: Sequence[Call]) -> None:
        """Resolve models."""
        self._each(calls, self._get)

    def list(self, calls: Sequence[Call]) -> None:
        """List models by the page."""
        self._each(calls, self._list)

    def _each(self, calls: Sequence[Call], answer: Callable[[Call, datetime], None]) -> None:
        now, is_fresh = datetime.now(UTC), self._is_fresh(time.monotonic())
        for call in calls:
            if not is_fresh:
                call.fail(Status.UNAVAILABLE, "the registry could not read the database for too long")
                continue
            try:
                answer(call, now)
            except DecodeError:
                call.fail(Status.INVALID_ARGUMENT, "not a message of this method")
            except ValueError as error:
                call.fail(Status.INVALID_ARGUMENT, str(error))

    def _get(self, call: Call, now: datetime) -> None:
        request = GetTenantModelRequest.FromString(call.message)
        found = self._index.resolve(request.tenant_id, request.model)
        if isinstance(found, Refusal):
            call.fail(_STATUSES[found], f"{found}: {sentence(found, request.model)}")
        else:
            call.reply(self._answers.one(found, now))

    def _list(self, call: Call, now: datetime) -> None:
        request = ListTenantModelsRequest.FromString(call.message)
        if not 0 <= request.page_size <= MOST_ON_A_PAGE:
            raise ValueError(f"page_size is 1 to {MOST_ON_A_PAGE}, or 0 for {_PAGE}")
        wanted = Filter(request.capability.lower(), request.provider, request.modality.lower())
        after = read_token(request.page_token) if request.page_token else ""
        entries, more = self._index.page(request.tenant_id, wanted, after, request.page_size or _PAGE)
        call.reply(self._answers.page(entries, more, now))
