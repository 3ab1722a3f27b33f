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


METERED: frozenset[Endpoint] = frozenset(Endpoint) - {Endpoint.MODELS}
"""Endpoints that reach an engine, and so are admitted and end as one usage event each."""
