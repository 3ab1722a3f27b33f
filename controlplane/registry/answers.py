"""What the registry answers over gRPC, encoded once for each model and put together of its pieces. Pure."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from controlplane.registry.index import Entry, price_at
from controlplane.registry.models import Model, Provider
from protos import registry_pb2 as pb

_MODEL, _PROVIDER = b"\x0a", b"\x12"
"""Tags of the fields 1 and 2, both messages, in the answers of both calls."""


class Answers:
    """Remembers what models look like; a model that changed is another object, and one whose price changes is made anew."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[Model, datetime | None, bytes]] = {}

    def one(self, entry: Entry, now: datetime) -> bytes:
        """Return a GetTenantModelResponse."""
        return self._model(entry, now) + _provider(entry.provider)

    def page(self, entries: Sequence[Entry], more: bool, now: datetime) -> bytes:
        """Return a ListTenantModelsResponse."""
        providers = {entry.provider.id: entry.provider for entry in entries}
        token = pb.ListTenantModelsResponse(next_page_token=token_of(entries[-1].model_id)).SerializeToString() if more else b""
        return b"".join([*(self._model(entry, now) for entry in entries), *map(_provider, providers.values()), token])

    def _model(self, entry: Entry, now: datetime) -> bytes:
        known = self._models.get(entry.model_id)
        if known is not None and known[0] is entry.model and (known[1] is None or now < known[1]):
            return known[2]
        price, until = price_at(entry.model, now)
        encoded = _field(_MODEL, _encode(entry, price))
        self._models[entry.model_id] = entry.model, until, encoded
        return encoded


def _encode(entry: Entry, price: int) -> bytes:
    model: Model = entry.model
    message = pb.Model(
        id=entry.model_id,
        upstream_model=model.upstream_model,
        provider=entry.provider.name,
        aliases=model.aliases,
        capabilities=model.capabilities,
        modalities=model.modalities,
        context_tokens=model.context_tokens or 0,
        output_tokens=model.output_tokens or 0,
    )
    if price >= 0:
        now = model.prices[price]
        valid_from_ms = int(now.valid_from.timestamp() * 1000)
        message.price.CopyFrom(
            pb.Price(currency=now.currency, input=now.input, cached_input=now.cached_input, output=now.output, valid_from_ms=valid_from_ms)
        )
    return message.SerializeToString()


def _provider(provider: Provider) -> bytes:
    message = pb.Provider(
        name=provider.name, kind=provider.kind, url_kind=provider.url_kind, health=provider.health, health_reason=provider.health_reason
    )
    return _field(_PROVIDER, message.SerializeToString())


def _field(tag: bytes, content: bytes) -> bytes:
    """Return a message as a field of another (https://protobuf.dev/programming-guides/encoding/)."""
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return tag + bytes(length) + content


def token_of(model_id: str) -> str:
    """Return the token of the page that begins after a model."""
    return base64.urlsafe_b64encode(model_id.encode()).decode()


def read_token(token: str) -> str:
    """Return the model that a page begins after; raise ValueError for a token that is none of ours."""
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("the page token is not one that this service gave out") from error
