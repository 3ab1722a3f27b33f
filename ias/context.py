"""The signed context: what extauth decided, carried to extproc in the header `x-ias-context`.

Form: `1.<key id>.<payload>.<mac>`; payload is the msgpack array of `RequestContext` in base64url, mac is the first
16 bytes of HMAC-SHA-256 over all before it. Bound to request id and path and short-lived, so that one that leaks is
of no use. Version 1 readers skip fields that a newer writer appends (rolling upgrades): only ever append fields.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from ias.endpoints import Endpoint
from ias.keyed_digest import hmac_sha256

VERSION = "1"


class AdmissionMode(StrEnum):
    """How a request's tokens are held; what each mode promises stands in `docs/admission.md`."""

    STRICT = "strict"
    BALANCED = "balanced"
    LENIENT = "lenient"


LIFETIME_MS = 60_000
_MAC_BYTES = 16
_MAX_LENGTH = 8_192
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class RequestContext(msgspec.Struct, frozen=True, array_like=True):
    """One admitted request. Ids are UUIDs in text form; times are milliseconds of the admitting store's clock."""

    reservation_id: str
    request_id: str
    path: str
    signed_at_ms: int
    """Wall clock of the signer, the start of `LIFETIME_MS`. Not the admission time: that is inside the reservation id."""
    org_id: str
    user_id: str
    key_id: str
    publication_id: str
    model: str
    upstream_model: str
    """The engine's name for the model; when it differs from `model`, extproc writes it into the body."""
    endpoint: Endpoint
    stream: bool
    add_usage: bool
    """The client did not ask for usage: ask the engine for it, and take the extra chunk out of the answer."""
    tags: dict[str, str] = {}
    held_tokens: int = 0
    """What admission held in every token limit; more than zero also where the request has none, as the estimate of the request."""
    prompt_tokens: int = 0
    """The part of `held_tokens` that is for the prompt."""
    in_store: bool = True
    """False: admitted while the store was away, so that the store knows nothing of the reservation."""
    mode: AdmissionMode = AdmissionMode.BALANCED
    output_cap: int = 0
    """Write this cap of output tokens into the body; 0: leave the body's own."""
    choices: int = 1
    top_up_tokens: int = 0
    """More than zero: the hold does not cover what the answer may become. Top up by so much as it grows; refused, the answer ends."""
    body_bytes: int = 0
    """Of the request, without media: what the learned ratio of tokens per byte is about."""
    continuous_usage: bool = False
    """The engine can report usage in every chunk (`stream_options.continuous_usage_stats`): ask for it, and take it out of the answer."""
    writes_model: bool = False
    """The path names the model: write `upstream_model` into the body whatever it says."""


class ContextError(Exception):
    """The context is missing, malformed, forged, stale, or belongs to another request."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Keys by id. The current one signs; every one verifies, so that rotation needs no pause."""

    current: str
    keys: dict[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"the current signing key '{self.current}' is not among the keys")
        if any(len(key) < 32 for key in self.keys.values()):
            raise ValueError("a signing key needs at least 32 bytes")
        if any(not kid.isalnum() for kid in self.keys):
            raise ValueError("ids of signing keys are letters and digits")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RequestContext)


def encode(context: RequestContext) -> bytes:
    """Return the bare payload: what the admission store keeps for the reaper. The reservation id is not known yet, so it is empty."""
    return _encoder.encode(context)


def decode(payload: bytes, reservation_id: str) -> RequestContext:
    """Read `encode`'s payload and put the reservation id in; raise ContextError for anything else."""
    try:
        return msgspec.structs.replace(_decoder.decode(payload), reservation_id=reservation_id)
    except (ValueError, RecursionError) as error:
        raise ContextError("malformed context") from error


def sign(context: RequestContext, keys: SigningKeys) -> str:
    """Encode and sign; the result is a valid header value."""
    signed = f"{VERSION}.{keys.current}.{_b64(_encoder.encode(context))}"
    return f"{signed}.{_b64(_mac(signed, keys.keys[keys.current]))}"


def verify(header: str, keys: SigningKeys, request_id: str, path: str, now_ms: int) -> RequestContext:
    """Check signature, age and binding; raise ContextError with a reason that may be logged (it holds no secret)."""
    if len(header) > _MAX_LENGTH:
        raise ContextError("context is too long")
    signed, _, mac = header.rpartition(".")
    version, _, rest = signed.partition(".")
    kid, _, payload = rest.partition(".")
    if version != VERSION:
        raise ContextError("unknown version of the context")
    if (key := keys.keys.get(kid)) is None:
        raise ContextError("unknown signing key")
    try:
        # Compared as text: several texts decode to the same bytes, and only the one that `sign` writes is right.
        if not hmac.compare_digest(_b64(_mac(signed, key)).encode(), mac.encode()):
            raise ContextError("wrong signature")
        context = _decoder.decode(_unb64(payload))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise ContextError("malformed context") from error
    if abs(now_ms - context.signed_at_ms) > LIFETIME_MS:
        raise ContextError("context is too old")
    if context.request_id != request_id or context.path != path:
        raise ContextError("context of another request")
    return context


def _mac(signed: str, key: bytes) -> bytes:
    return hmac_sha256(key, signed.encode())[:_MAC_BYTES]


def _b64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
