"""Does the steps of `saga.PUBLISH`, one after the other; whatever fails, the state before is there again.

Each step is a transaction that first notes the step in the row, so that the row always says what there may be to take back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from controlplane.accounts.service import service_identity
from controlplane.authorization import Access
from controlplane.backends.traffic import stored_traffic
from controlplane.documentation.document import document_of, kind_of
from controlplane.documentation.rendering import html_of, markdown_of
from controlplane.documentation.repository import DocumentationRepository
from controlplane.documentation.schemas import Kind
from controlplane.errors import Problem
from controlplane.gateway.ports import GatewayRejected, GatewayUnreachable
from controlplane.ids import new_id
from controlplane.keys.repository import KeyRepository
from controlplane.keys.service import NewKey, create_key, revoke_keys
from controlplane.publishing import addresses, canary_org, rules
from controlplane.publishing.allowance import check_quota
from controlplane.publishing.ports import CanaryFailed, Flight
from controlplane.publishing.publisher import Publisher
from controlplane.publishing.repository import PublicationRepository
from controlplane.publishing.rules import Chosen
from controlplane.publishing.saga import PUBLISH, Step
from controlplane.publishing.schemas import SIZES, PublishConfig
from controlplane.publishing.targets import find_targets
from controlplane.publishing.tenants import find_tenants
from controlplane.publishing.views import view_of
from ias import logs
from ias.gateway_views import ChangeKind

log = logs.get(__name__)


@dataclass(slots=True)
class Publishing:
    """One publication on its way."""

    publisher: Publisher
    access: Access
    name: str
    config: PublishConfig
    publication_id: UUID = field(default_factory=new_id)
    values: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)
    targets: list[Chosen] = field(default_factory=list)
    tenant_ids: set[UUID] = field(default_factory=set)
    api_key: str = field(default="", repr=False)
    remark: str | None = None
    """What the canary has to say of a success."""

    async def run(self) -> str:
        """Do all steps, inside `Reconciler.exclusively`; return the key. Raises Problem, with nothing left of what was done."""
        does = {
            Step.VALIDATE: self._validate,
            Step.ROUTES: self._routes,
            Step.POLICIES: self._policies,
            Step.LIMITS: self._limits,
            Step.KEY: self._key,
            Step.CANARY: self._canary,
            Step.DOCUMENTATION: self._documentation,
            Step.PUBLISHED: self._published,
        }
        for stage in PUBLISH:
            try:
                await does[stage.step]()
            except Exception as error:
                await self._give_up(stage.step, error)
                raise problem_of(error) from error
        return self.api_key

    @property
    def _repository(self) -> PublicationRepository:
        return PublicationRepository(self.access.uow, self.access.reach)

    async def _validate(self) -> None:
        repository, config = self._repository, self.config
        if await repository.lock(self.name) is not None:
            raise rules.already_published(self.name)
        held = config.rate_limiting.model_dump() | config.model_dump(include=set(SIZES))
        if "admission_mode" not in config.rate_limiting.model_fields_set:
            held["admission_mode"] = rules.default_mode(self.publisher.metering)
        rules.check_limits(held)
        org_id, self.tenant_ids = await find_tenants(repository, config.tenant_id, config.authentication.allowed_tenants)
        await check_quota(repository, org_id, self.publisher.publications_per_org)
        upstream_model = config.upstream_model or self.name
        self.targets = await find_targets(self.publisher, repository, config, upstream_model)
        model_type, reason = rules.detect_type(config.model_type, [target.backend for target in self.targets])
        rules.check_metering(self.publisher.metering, model_type, self.name, upstream_model, held["admission_mode"])
        rules.check_key(model_type, config.authentication.require_api_key)
        path = config.external_path or rules.default_path(self.name, model_type)
        addresses.check_path(path, self.name)
        addresses.check_hostname(config.public_hostname, await repository.hostnames_of(org_id))
        await repository.check_address(self.name, config.public_hostname, path)
        self.held = held
        self.values = {
            "id": self.publication_id,
            "model": self.name,
            "org_id": org_id,
            "model_type": model_type,
            "model_type_reason": reason,
            "require_api_key": config.authentication.require_api_key,
            "public_hostname": config.public_hostname,
            "external_path": path,
            "upstream_model": upstream_model,
            "backend_id": self.targets[0].backend.backend_id,
            "traffic": stored_traffic(config.traffic),
        }

    async def _routes(self) -> None:
        await self._repository.add(self.values, self.targets, Step.ROUTES)
        await self.access.uow.checkpoint()
        await self.publisher.reconciler.apply(self.access.uow, [self.name])

    async def _policies(self) -> None:
        await self._note(Step.POLICIES)
        await self._repository.set_tenants(self.publication_id, self.tenant_ids)
        await self.access.uow.checkpoint()

    async def _limits(self) -> None:
        await self._note(Step.LIMITS, **self.held)
        await self.access.uow.checkpoint()

    async def _key(self) -> None:
        await self._note(Step.KEY)
        org_id: UUID = self.values["org_id"]
        wish = NewKey(
            f"publication {self.name}"[:100], allowed_models=[self.name], publication_id=self.publication_id, created_by=self.access.user_id
        )
        owner = await service_identity(self.access.uow, org_id)
        key_id, api_key = await create_key(self.access.uow, org_id, owner, wish, self.publisher.key_rules)
        self.api_key = api_key.text
        names = [target.backend.name for target in self.targets]
        self.access.uow.audit(org_id=org_id, publication_id=str(self.publication_id), key_id=str(key_id), backends=names)
        await self.access.uow.checkpoint()

    async def _canary(self) -> None:
        await self._note(Step.CANARY, status="published")
        key = await canary_org.board(self._repository, self.publication_id, self.name, self.publisher.key_rules)
        self.access.uow.changed(ChangeKind.PUBLICATION, self.publication_id)
        kind = await self._kind()
        await self.access.uow.checkpoint()
        flight = Flight(self.name, kind, self.values["public_hostname"], self.config.authentication.require_api_key, key)
        self.remark = await self.publisher.canary.fly(flight)

    async def _documentation(self) -> None:
        await self._note(Step.DOCUMENTATION)
        if (row := await self._repository.find(self.name)) is None:
            raise _taken_away(self.name)
        document = document_of(view_of(row, None, self.publisher.gateway_url), await self._kind())
        html_of(document)
        markdown_of(document)

    async def _kind(self) -> Kind:
        """Tell what is asked of the model, as its documentation will."""
        capabilities = await DocumentationRepository(self.access.uow, self.access.reach).capabilities(self.publication_id)
        return kind_of(self.values["model_type"], self.values["upstream_model"], capabilities)

    async def _published(self) -> None:
        await self._note(None, status_reason=self.remark)
        repository = self._repository
        await repository.remove_tenants(self.publication_id, canary_org.ORG_ID)
        await revoke_keys(KeyRepository(self.access.uow, self.access.reach), await repository.key_ids(self.publication_id, canary_org.ORG_ID))
        self.access.uow.changed(ChangeKind.PUBLICATION, self.publication_id)
        await self.access.uow.checkpoint()

    async def _note(self, step: Step | None, **values: Any) -> None:
        """Write down in the open transaction that a step begins; None: all are done."""
        if not await self._repository.note(self.publication_id, step, values):
            raise _taken_away(self.name)

    async def _give_up(self, step: Step, error: Exception) -> None:
        await self.access.uow.close()
        if step is Step.VALIDATE:
            return
        log.warning("publication is taken back", model=self.name, step=step.value, reason=_reason(error))
        try:
            await self.publisher.reconciler.undo(self.publication_id, _reason(error))
        except Exception:
            # The database is away: whoever reconciles next finds the row with its step, and takes it back.
            log.exception("publication was not taken back yet", model=self.name)
            self.publisher.reconciler.wake()


def problem_of(error: Exception) -> Exception:
    """Return what the client is told of a failure."""
    if isinstance(error, GatewayRejected):
        return Problem(502, "GATEWAY_REJECTED", f"The gateway refused the configuration, nothing was changed: {error}")
    if isinstance(error, GatewayUnreachable):
        return Problem(503, "GATEWAY_UNREACHABLE", f"The gateway did not confirm, nothing was changed: {error}", headers={"retry-after": "5"})
    if isinstance(error, CanaryFailed):
        return Problem(502, "CANARY_FAILED", f"The model was published and could not be used, so it was taken back: {error}.")
    return error


def _reason(error: Exception) -> str:
    told = problem_of(error)
    return str(told) if isinstance(told, Problem) else f"An unexpected error, {type(error).__name__}: the log has it."


def _taken_away(name: str) -> Problem:
    return Problem(409, "MODEL_NOT_FOUND", f"The model '{name}' was unpublished while it was being published.")
