"""The document: what a developer must know to call one published model. Markdown and HTML are rendered from it."""

from typing import Literal

from pydantic import Field

from controlplane.api_model import ApiModel

Kind = Literal["chat", "embeddings", "traditional"]
"""What is asked of a model: it decides the paths and the examples."""


class OperationView(ApiModel):
    """One path that the model answers at."""

    method: str
    url: str
    purpose: str


class DocumentedLimit(ApiModel):
    """A limit of each org that uses the model."""

    name: str
    value: int
    meaning: str


class HeaderView(ApiModel):
    """A header of an answer."""

    name: str
    value: str


class RefusalView(ApiModel):
    """A 429 as the gateway answers it."""

    title: str
    advice: str
    status: int
    headers: list[HeaderView]
    body: str


class ErrorKind(ApiModel):
    """An error that the model's clients may meet."""

    status: int
    type: str
    code: str
    when: str
    what_to_do: str


class ExampleView(ApiModel):
    """A program that calls the model. It needs an API key in IAS_API_KEY and holds none."""

    title: str
    language: str
    streaming: bool
    file: str = Field(description="the name to save it under; empty: it is typed into a shell")
    install: str = Field(description="what it needs; empty: nothing")
    command: str = Field(description="how to run the file; empty: it is a command itself")
    code: str
    prints: str = Field(description="what it prints; … stands for what differs each time")


class DocumentationView(ApiModel):
    """How to call one published model."""

    model_name: str
    kind: Kind
    base_url: str
    operations: list[OperationView]
    require_api_key: bool
    limits: list[DocumentedLimit]
    too_many_requests: list[RefusalView]
    errors: list[ErrorKind]
    examples: list[ExampleView]
    limit_reached: ExampleView | None = Field(description="how a program meets a spent limit")


class DocumentationQuery(ApiModel):
    """The query parameters of the document."""

    format: Literal["html", "md", "json"] | None = Field(default=None, description="by default what `accept` prefers, else JSON")
