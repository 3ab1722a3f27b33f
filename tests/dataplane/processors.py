"""Stand-ins for extproc that follow an answer in a mode of the test's choice, and can end it, change nothing, or hang."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ias.transport import Stream, StreamMachine, StreamMethod
from protos.ext_proc_pb2 import (
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ProcessingMode,
    ProcessingRequest,
    ProcessingResponse,
    StreamedBodyResponse,
    TrailersResponse,
)

Body = ProcessingMode.BodySendMode
FULL_DUPLEX = ProcessingMode.FULL_DUPLEX_STREAMED


@dataclass
class Follower:
    """Follows every answer in `mode`; `end_after` ends it after so many messages of the body, `hang_after` answers no more from there on."""

    mode: Body
    trailers: bool = False
    end_after: int | None = None
    hang_after: int | None = None
    seen: list[str] = field(default_factory=list)
    """Every message of every stream, in words; `gone` when Envoy closed it."""

    def method(self) -> StreamMethod:
        return StreamMethod("/envoy.service.ext_proc.v3.ExternalProcessor/Process", self._open)

    def _open(self, stream: Stream) -> StreamMachine:
        return _Following(self)


class _Following:
    def __init__(self, owner: Follower) -> None:
        self._owner = owner
        self._bodies = 0

    def on_message(self, message: bytes) -> Sequence[bytes]:
        request = ProcessingRequest.FromString(message)
        kind = str(request.WhichOneof("request"))
        ended = getattr(getattr(request, kind), "end_of_stream", False)
        self._owner.seen.append(kind + (", end" if ended else "") + (", observed" if request.observability_mode else ""))
        if request.observability_mode:
            return ()
        reply = getattr(self, f"_{kind}")(request)
        return () if reply is None else (reply.SerializeToString(),)

    def on_end(self) -> None:
        self._owner.seen.append("gone")

    def on_abort(self) -> None:
        self._owner.seen.append("gone")

    def _request_headers(self, _: ProcessingRequest) -> ProcessingResponse:
        return ProcessingResponse(request_headers=HeadersResponse(), mode_override=self._mode(ProcessingMode.NONE))

    def _response_headers(self, _: ProcessingRequest) -> ProcessingResponse:
        # Without its length: what is passed on may be shorter.
        common = CommonResponse(header_mutation=HeaderMutation(remove_headers=["content-length"]))
        return ProcessingResponse(response_headers=HeadersResponse(response=common), mode_override=self._mode(self._owner.mode))

    def _response_body(self, request: ProcessingRequest) -> ProcessingResponse | None:
        owner, chunk = self._owner, request.response_body
        self._bodies += 1
        if owner.hang_after is not None and self._bodies > owner.hang_after:
            return None
        if owner.mode != FULL_DUPLEX:
            return ProcessingResponse(response_body=BodyResponse())
        if owner.end_after is not None and self._bodies > owner.end_after:
            return None
        last = self._bodies == owner.end_after
        passed = StreamedBodyResponse(body=chunk.body + (b"the end" if last else b""), end_of_stream=last or chunk.end_of_stream)
        return ProcessingResponse(response_body=BodyResponse(response=CommonResponse(body_mutation=BodyMutation(streamed_response=passed))))

    def _response_trailers(self, _: ProcessingRequest) -> ProcessingResponse:
        return ProcessingResponse(response_trailers=TrailersResponse())

    def _mode(self, body: Body) -> ProcessingMode:
        return ProcessingMode(
            request_header_mode=ProcessingMode.SEND,
            response_header_mode=ProcessingMode.SEND,
            request_body_mode=ProcessingMode.NONE,
            response_body_mode=body,
            request_trailer_mode=ProcessingMode.SKIP,
            response_trailer_mode=ProcessingMode.SEND if self._owner.trailers else ProcessingMode.SKIP,
        )
