"""Names of the HTTP headers that the gateway's own parts exchange. The edge removes all of them from clients."""

CONTEXT = "x-ias-context"
"""The signed context (`ias.context`): written by extauth, read and removed by extproc."""

MODEL = "x-ias-model"
"""The name of the publication: written by extauth, matched exactly by every model route. Without it there is no route."""

LENGTH = "x-ias-content-length"
"""The content-length of an answer that passes through extproc, for which Envoy drops it: written by extproc, put back at the edge."""

REQUEST_ID = "x-request-id"
"""Made or kept by Envoy; on every answer, log line and event."""

TAGS = "x-request-tags"
"""`k=v,k=v`: at most 8 pairs of at most 64 characters each side, kept in the event, removed before the engine."""

CREDENTIALS = ("authorization", "x-api-key", "api-key")
"""Where a client may put its API key: OpenAI's, Anthropic's and Azure's clients each use another one."""

RESERVED_PREFIXES = ("x-ias-", "x-envoy-", "x-ai-eg-")
"""Headers with these prefixes never pass from a client."""
