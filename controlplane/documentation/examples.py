"""The examples of a document. Each is one template in `templates/examples`; what it needs and prints is said beside it. Pure."""

from dataclasses import dataclass
from typing import Final

from controlplane.documentation.schemas import ExampleView, Kind
from controlplane.documentation.templates import render

QUESTION: Final = "Say hello in one short sentence."
_PIP, _NPM = "pip install openai", "npm install openai"


@dataclass(frozen=True, slots=True)
class _Example:
    template: str
    title: str
    language: str
    prints: str
    file: str = ""
    install: str = ""
    command: str = ""

    def view(self, **values: object) -> ExampleView:
        return ExampleView(
            title=self.title,
            language=self.language,
            streaming=self.template.partition(".")[0].endswith("_stream"),
            file=self.file,
            install=self.install,
            command=self.command,
            code=render(f"examples/{self.template}.j2", question=QUESTION, **values).rstrip("\n"),
            prints=self.prints,
        )


def _curl(name: str, title: str, prints: str) -> _Example:
    return _Example(f"{name}.sh", title, "sh", prints)


def _python(name: str, title: str, prints: str, install: str = _PIP) -> _Example:
    return _Example(f"{name}.py", title, "python", prints, f"{name}.py", install, f"python {name}.py")


def _javascript(name: str, title: str, prints: str, install: str = _NPM) -> _Example:
    return _Example(f"{name}.mjs", title, "javascript", prints, f"{name}.mjs", install, f"node {name}.mjs")


_ANSWER, _VECTOR, _PREDICTIONS = "…\ntokens: …", "dimensions: …\ntokens: …", "predictions: …"
_EXAMPLES: Final[dict[Kind, tuple[_Example, ...]]] = {
    "chat": (
        _curl("chat", "curl", '{…"choices":[…]…"usage":{…}…}'),
        _curl("chat_stream", "curl, streaming", "data: {…}\n…\ndata: [DONE]"),
        _python("chat", "Python", _ANSWER),
        _python("chat_stream", "Python, streaming", _ANSWER),
        _javascript("chat", "JavaScript", _ANSWER),
        _javascript("chat_stream", "JavaScript, streaming", _ANSWER),
    ),
    "embeddings": (
        _curl("embeddings", "curl", '{…"data":[…"embedding":[…]…]…"usage":{…}…}'),
        _python("embeddings", "Python", _VECTOR),
        _javascript("embeddings", "JavaScript", _VECTOR),
    ),
    "traditional": (
        _curl("predict", "curl, KServe v1", '{"predictions":…}'),
        _curl("infer", "curl, KServe v2", '{…"outputs":…}'),
        _python("predict", "Python", _PREDICTIONS, "pip install requests"),
        _javascript("predict", "JavaScript (Node.js 18 or newer)", _PREDICTIONS, ""),
    ),
}
_LIMIT_REACHED: Final = _python("limit_reached", "Python, when a limit is reached", "rate_limit_exceeded: try again in … s")


def examples_for(kind: Kind, model: str, base_url: str, *, require_api_key: bool) -> list[ExampleView]:
    """Make the examples of a model."""
    return [example.view(model=model, base_url=base_url, require_api_key=require_api_key) for example in _EXAMPLES[kind]]


def limit_reached(kind: Kind, model: str, base_url: str) -> ExampleView | None:
    """Make the example of a spent limit; there is one for chats."""
    return _LIMIT_REACHED.view(model=model, base_url=base_url) if kind == "chat" else None
