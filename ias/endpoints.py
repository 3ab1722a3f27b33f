"""The kinds of inference endpoint: the one vocabulary for the decision, the signed context, the usage event and the ledger."""

from enum import StrEnum


class Endpoint(StrEnum):
    """What a request asks an engine to do. The value is written into contexts, events and the ledger: never rename one."""

    CHAT_COMPLETIONS = "chat_completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"
    """Anthropic's form of a chat."""
    MODELS = "models"
    KSERVE_V1_PREDICT = "kserve_v1_predict"
    KSERVE_V1_EXPLAIN = "kserve_v1_explain"
    KSERVE_V1_STATUS = "kserve_v1_status"
    KSERVE_V2_INFER = "kserve_v2_infer"
    KSERVE_V2_METADATA = "kserve_v2_metadata"
    KSERVE_V2_READY = "kserve_v2_ready"
    KSERVE_V2_SERVER = "kserve_v2_server"
    """What a server says about itself; here that is the gateway."""


TOKENLESS: frozenset[Endpoint] = frozenset(
    {
        *(Endpoint.KSERVE_V1_PREDICT, Endpoint.KSERVE_V1_EXPLAIN, Endpoint.KSERVE_V1_STATUS),
        *(Endpoint.KSERVE_V2_INFER, Endpoint.KSERVE_V2_METADATA, Endpoint.KSERVE_V2_READY),
    }
)
"""Those of traditional models: requests are limited and recorded, tokens do not exist, and the body is nobody's business but the engine's."""
