"""The route of a publication's documentation."""

from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from controlplane.authorization import Access, require
from controlplane.documentation import service
from controlplane.documentation.negotiation import Form, preferred
from controlplane.documentation.rendering import CONTENT_SECURITY_POLICY, html_of, markdown_of
from controlplane.documentation.schemas import DocumentationQuery, DocumentationView
from controlplane.idempotency.route import Router
from controlplane.runtime import RuntimeNow
from ias.roles import Permission

router = Router(tags=["publishing"])
Reader = Annotated[Access, require(Permission.MODELS_MANAGE, Permission.INFERENCE_CALL)]
_TEXT: Final[dict[str, Any]] = {"schema": {"type": "string"}}


@router.get(
    "/models/{name}/publish/documentation",
    name="model_documentation.get",
    response_model=DocumentationView,
    responses={200: {"content": {"text/html": _TEXT, "text/markdown": _TEXT}}},
)
async def get_documentation(
    name: str, access: Reader, runtime: RuntimeNow, request: Request, query: Annotated[DocumentationQuery, Query()]
) -> Response:
    """Tell how to call a published model, with examples that run. For everybody whose org may use it. As JSON, HTML or Markdown."""
    document = await service.describe(runtime.publisher, access, name)
    response = _in(query.format or preferred(request.headers.get("accept", "")), document)
    response.headers["vary"] = "accept"
    return response


def _in(form: Form, document: DocumentationView) -> Response:
    if form == "html":
        policy = f"{CONTENT_SECURITY_POLICY}; frame-ancestors 'none'"
        return HTMLResponse(html_of(document), headers={"content-security-policy": policy, "referrer-policy": "no-referrer"})
    if form == "md":
        return Response(markdown_of(document), media_type="text/markdown; charset=utf-8")
    return JSONResponse(document.model_dump(mode="json", by_alias=True))
