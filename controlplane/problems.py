"""Every error code of the REST API: what it means, what to do, and which routes may answer it. Pure.

A code is raised as `controlplane.errors.Problem(status, code, detail)` and stable from then on. `tests/repo/test_problems.py` finds
every code in the source and compares; component tests and schemathesis refuse an answer that its route does not declare here.
Served at `GET /api/problems`, where the `type` of each problem points (RFC 9457 §3.1.1).
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Entry:
    """One code."""

    code: str
    statuses: tuple[int, ...]
    meaning: str
    """What it means and what to do."""
    actions: tuple[str, ...] = ()
    """Names of the routes that raise it themselves, with `*`; empty: it follows from the form of a route (`controlplane.openapi`)."""

    def may_answer(self, action: str) -> bool:
        """Whether a route with this name may raise it."""
        return any(fnmatchcase(action, pattern) for pattern in self.actions)


_GUESSED = ("session.create*", "password.change", "password.request_reset", "key.validate")
_ROTATE = ("key.rotate", "model.rotate_key")
_QUOTA = ("quota_request.create", "quota_request.approve")
_MODEL = ("model.publish", "model.update")
_ASKED = ("quota_request.create", "access_request.create")
_DECIDED = ("approval.approve", "approval.reject", "approval.revoke", "approval.reinstate")
_MODELS_NAMED = ("registry.get_model", "access_request.create", *_DECIDED)
_BY_FORM = (
    Entry("csrf_token_invalid", (403,), "A write by cookie needs the header X-CSRF-Token. GET /api/session has its value."),
    Entry("forbidden", (403,), "Your role does not allow this. The role matrix says who may."),
    Entry("idempotency_key_in_use", (409,), "A request with this key is running. Wait for its answer."),
    Entry("idempotency_key_reused", (422,), "The key was used for another request. Make a new key for each."),
    Entry("internal_error", (500,), "A fault of the service. Report the x-request-id of the answer; the log has the rest under it."),
    Entry("invalid_cursor", (400,), "The cursor is not one that this list gave out. Start again without it."),
    Entry("invalid_idempotency_key", (400,), "A key has 1 to 255 visible ASCII characters."),
    Entry("invalid_request", (400, 422), "A field, a parameter or a header is missing, unknown or wrong. `errors` names each; nothing was changed."),
    Entry("invalid_token", (401,), "No session, or one that is over. Sign in anew."),
    Entry("key_not_found", (404,), "There is no such key, or it is not yours to see.", ("quota_request.create",)),
    Entry("malformed_json", (400,), "The body is not JSON."),
    Entry("method_not_allowed", (405,), "The path is there, the method is not."),
    Entry("object_not_found", (404,), "The path names something by an id that is none."),
    Entry("org_not_found", (404,), "There is no such org, or it is not yours to see."),
    Entry("quota_request_not_found", (404,), "There is no such request for more, or it is not yours to see."),
    Entry(
        "request_not_found",
        (404,),
        "There is no such request, or it is not yours to see. Of refused ones samples are kept.",
    ),
    Entry("request_timeout", (408,), "The body did not arrive in time. Send it again."),
    Entry("request_too_large", (413,), "The body is above 1 MiB."),
    Entry("secret_already_shown", (409,), "The request was done before; `id` says what it made. Its secret is not shown twice."),
    Entry("overloaded", (503,), "More requests than can be served now. Nothing was changed; try again after `retry-after`."),
    Entry("service_unavailable", (503,), "The database does not answer. Nothing was changed; try again after `retry-after`."),
    Entry("unknown_url", (404,), "The API has no such path."),
    Entry("user_not_found", (404,), "There is no such user, or it is not yours to see."),
    Entry("version_conflict", (412,), "Somebody changed it since you read it. Read it again, then change it."),
)
_BY_DOMAIN = (
    Entry("already_asked", (409,), "You have an open request for the same. Wait for an answer, or withdraw it.", _ASKED),
    Entry("ADDRESS_TAKEN", (409,), "Another model has that hostname and path, or one inside of it. Choose another path.", _MODEL),
    Entry("ALREADY_PUBLISHED", (409,), "The name is published. Change it with PUT, or unpublish it first.", ("model.publish",)),
    Entry("AMBIGUOUS_BACKEND", (409,), "Several backends serve the model. Choose one with `config.backend`.", _MODEL),
    Entry("API_KEY_REQUIRED", (422,), "OpenAI models are never published without keys.", _MODEL),
    Entry(
        "CANARY_FAILED",
        (502,),
        "Tried through the gateway, the model did not answer; all is as before. `detail` has what was seen.",
        ("model.publish",),
    ),
    Entry("GATEWAY_REJECTED", (502,), "Envoy refused the configuration. All is as it was before; `detail` has Envoy's words.", ("model.*",)),
    Entry("GATEWAY_UNREACHABLE", (503,), "Envoy does not answer. All is as it was before; try again when it does.", ("model.*",)),
    Entry("HOSTNAME_NOT_ALLOWED", (422,), "The org may use other hostnames only. A System Admin changes the list.", _MODEL),
    Entry("INVALID_BACKENDS", (422,), "A backend twice, backends of several kinds, or of another kind than the model is.", _MODEL),
    Entry("INVALID_TENANT", (404, 422), "There is no such org, or the owner is not among the allowed tenants.", ("model.*",)),
    Entry("MODEL_NOT_FOUND", (404, 409), "No registered backend serves the model.", _MODEL),
    Entry(
        "MODEL_NOT_READY",
        (409,),
        "The backend is not healthy. `detail` has the reason of its last probe, or what the object says that it is registered by.",
        (*_MODEL, "backend.create"),
    ),
    Entry(
        "NOT_PUBLISHED",
        (404,),
        "No model of that name is published.",
        ("model.get", "model.update", "model.unpublish", "model.rotate_key", "model_documentation.get"),
    ),
    Entry("SHADOW_ADMISSION_MODE", (422,), "The gateway only watches, where admission is lenient. Set `admissionMode` to lenient.", _MODEL),
    Entry("SHADOW_RENAMED_MODEL", (422,), "The gateway only watches and cannot rename a model. Publish it under the engine's name.", _MODEL),
    Entry("TENANT_CHANGE", (422,), "A publication does not change its owner. Unpublish it, then publish it anew.", ("model.update",)),
    Entry("access_request_not_found", (404,), "There is no such request, or it is not yours to see.", ("access_request.*",)),
    Entry("already_approved", (409,), "Your org may use the model already.", ("access_request.create",)),
    Entry("approval_rule_not_found", (404,), "There is no such rule, or it is not of your org.", ("approval_rule.end",)),
    Entry("model_deprecated", (410,), "The backend does not have the model any more.", ("registry.get_model",)),
    Entry("model_gone", (409,), "The backend of the model is gone. Reject the request.", ("access_request.approve",)),
    Entry("model_not_approved", (403,), "The model is not approved for the org. Ask an admin of the org for it.", ("registry.get_model",)),
    Entry("model_not_found", (404,), "The catalog has no model of that id or alias.", _MODELS_NAMED),
    Entry("too_many_rules", (409,), "The org has as many rules as it may. End one first.", ("approval_rule.create",)),
    Entry("wrong_approval_state", (409,), "There is no such step from the state that the model is in. `detail` says what there is.", _DECIDED),
    Entry("backend_exists", (409,), "The name is taken. Choose another one.", ("backend.create",)),
    Entry(
        "credential_unusable",
        (422,),
        "The credential that the backend is shown cannot be read. Is its file in IAS_BACKEND_CREDENTIALS_DIR, readable, and one line?",
        ("backend.update", "model.publish", "model.update"),
    ),
    Entry("backend_in_use", (409,), "Published models use the backend. Unpublish or move them first.", ("backend.delete",)),
    Entry("backend_not_found", (404,), "There is no such backend.", ("backend.*", "approval_rule.create")),
    Entry("catalog_model_not_found", (404,), "The catalog has no such model.", ("catalog.*",)),
    Entry("alias_taken", (409,), "Another model has the alias. Choose another one, or take it from that model first.", ("catalog.edit",)),
    Entry("price_in_force", (409,), "A price that is in force stays. Set another one from a later moment on.", ("catalog.set_price",)),
    Entry("budget_above_ceiling", (422,), "More than the org's ceiling, which only a System Admin raises.", ("*_budget.*", "quota_request.approve")),
    Entry("budget_not_found", (404,), "No budget is set for that period.", ("*_budget.*",)),
    Entry(
        "egress_denied",
        (422,),
        "The address is not a public one. The operator can allow its network: IAS_EGRESS_ALLOWED_NETWORKS.",
        ("backend.create", *_MODEL),
    ),
    Entry("cannot_delete_yourself", (409,), "Nobody deletes the own account. Ask another admin.", ("user.delete", "system_admin.delete")),
    Entry("cannot_disable_yourself", (409,), "Nobody disables the own account. Ask another admin.", ("user.disable",)),
    Entry("already_invited", (409,), "That address is invited already. Resend the invite, or revoke it first.", ("invite.create",)),
    Entry("ceiling_not_found", (404,), "No ceiling is set for that period.", ("org_budget.lift_ceiling",)),
    Entry("disabled_by_admin", (403,), "An admin has disabled the key. Only an admin can enable it.", ("key.enable",)),
    Entry("invalid_credentials", (401,), "The user name or the password is wrong.", ("session.create*",)),
    Entry("invalid_model_name", (422,), "A name has letters, digits and `._:-`, and no slash.", _MODEL),
    Entry("invalid_period", (422,), "The period is empty or too long, or has too many points. Ask for a shorter one.", ("usage.*",)),
    Entry("key_expired", (409,), "The key's life has ended. Give it a later end, or make another one.", ("key.*", *_ROTATE)),
    Entry("key_revoked", (409,), "The key is revoked for good. Make another one.", ("key.*",)),
    Entry("invite_is_over", (409,), "The invite is accepted or revoked. Make another one, or remove the user.", ("invite.resend", "invite.revoke")),
    Entry("invite_not_found", (404,), "The org has no such invite.", ("invite.resend", "invite.revoke")),
    Entry("invite_not_valid", (404,), "The invite is used, revoked or expired. Ask for another one.", ("invite.accept",)),
    Entry(
        "last_org_admin",
        (409,),
        "An org keeps an admin. Make somebody else one first, or delete the org.",
        ("user.delete", "user.change_role", "user.disable"),
    ),
    Entry("other_keys_match", (409,), "The filter means other keys than the dry run has shown. Make another dry run.", ("key.bulk_revoke",)),
    Entry("problem_not_found", (404,), "The API has no such error code.", ("problem.get",)),
    Entry("report_too_long", (422,), "More rows than fit into a report. Ask for a shorter period or fewer dimensions.", ("usage.*_report",)),
    Entry("reset_not_valid", (404,), "The link is used, replaced or expired. Ask for another one.", ("password.reset",)),
    Entry("sent_a_moment_ago", (429,), "The invite was sent a moment ago. Wait for `retry-after` seconds.", ("invite.resend",)),
    Entry("service_account_exists", (409,), "The org has a service account of that name. Choose another one.", ("service_account.create",)),
    Entry("service_account_not_found", (404,), "The org has no such service account.", ("key.create", "service_account.*")),
    Entry("session_not_found", (404,), "You have no such session, or it has ended.", ("session.end",)),
    Entry("session_is_a_cookie", (409,), "A cookie needs no renewal: it goes on while it is used.", ("session.renew",)),
    Entry("slug_taken", (409,), "There is an org with that slug. Choose another one.", ("org.create",)),
    Entry("system_admin_not_found", (404,), "There is no such System Admin.", ("system_admin.delete",)),
    Entry("RESERVED_PATH", (422,), "The gateway answers there itself. Choose another `externalPath`.", _MODEL),
    Entry("TOO_MANY_PUBLICATIONS", (409,), "The org has as many published models as it may. Unpublish one, or raise the number.", ("model.publish",)),
    Entry("too_many_attempts", (429,), "Too many wrong passwords, or keys to check. Wait for `retry-after` seconds.", _GUESSED),
    Entry("too_many_credentials", (409,), "Old secrets of the key still work. Wait until one ends, or rotate without overlap.", _ROTATE),
    Entry("too_many_keys", (409,), "You have as many keys as you may. Revoke one first.", ("key.create",)),
    Entry("too_many_invites", (409,), "Many invites of the org wait for an answer. Revoke some first.", ("invite.create",)),
    Entry("user_exists", (409,), "The org has a user with that address already.", ("invite.create",)),
    Entry("username_taken", (409,), "Names are unique in the service: choose another.", ("user.create", "system_admin.create", "invite.accept")),
    Entry("wrong_org_status", (409,), "The state of the org does not allow it. `detail` says what to do.", ("org.*",)),
    Entry("not_more", (409,), "It is so much already. Ask for more, or reject.", _QUOTA),
    Entry("nothing_limits", (409,), "There is no such budget or limit, so there is nothing to raise.", _QUOTA),
    Entry("request_not_open", (409,), "The request has ended: decided, withdrawn or expired.", ("quota_request.*", "access_request.*")),
    Entry("too_many_open_requests", (409,), "You have as many open requests as you may. Withdraw one first.", _ASKED),
    Entry("wrong_password", (403,), "The current password is wrong. Nothing was changed.", ("password.change",)),
)
CATALOGUE = {entry.code: entry for entry in (*_BY_FORM, *_BY_DOMAIN)}


def raised_by(action: str) -> list[Entry]:
    """Return the entries that a route raises itself."""
    return [entry for entry in CATALOGUE.values() if entry.may_answer(action)]
