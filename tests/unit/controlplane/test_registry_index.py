"""The registry in memory: what it says is what one would find by looking at every model."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.approvals.rules import Rule, State, state_of
from controlplane.registry.answers import Answers, read_token, token_of
from controlplane.registry.index import Entry, Index, price_at
from controlplane.registry.models import Approvals, Filter, Model, Price, Provider
from controlplane.registry.rules import Refusal
from protos.registry_pb2 import GetTenantModelResponse, ListTenantModelsResponse

NOW = datetime(2026, 11, 27, tzinfo=UTC)
PROVIDERS = [Provider(UUID(int=number), f"b{number}", "openai", "http", "healthy", "") for number in (1, 2)]
ALL = Approvals((Rule(None, "*"),))


def model(number: int, *, backend: int = 1, active: bool = True, seen: int = 0, prices: tuple[Price, ...] = (), name: str = "") -> Model:
    capabilities = ("chat",) if number % 2 else ("chat", "tools")
    seen_at = NOW + timedelta(days=seen)
    aliases = (f"alias-{number}",)
    return Model(
        UUID(int=1000 + number), UUID(int=backend), name or f"m{number}", aliases, capabilities, ("text",), 8192, None, active, seen_at, prices
    )


def index(*models: Model, **approvals: Approvals) -> Index:
    made = Index()
    made.replace(PROVIDERS, models, approvals)
    return made


def names(made: Index, org: str) -> list[str]:
    return [entry.model_id for entry in made.page(org, Filter(), "", 200)[0]]


MODELS = st.lists(
    st.builds(model, st.integers(0, 40), backend=st.sampled_from([1, 2]), active=st.booleans(), seen=st.integers(-2, 2)),
    max_size=30,
    unique_by=lambda one: one.id,
)
RULES = st.builds(
    Rule,
    st.sampled_from([None, UUID(int=1), UUID(int=2)]),
    st.sampled_from(["*", "m1*", "*1", "m2", "m*3"]),
    st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
)
DECISIONS = st.dictionaries(st.integers(0, 40), st.sampled_from([State.APPROVED, State.REJECTED, State.REVOKED]), max_size=8)


@settings(deadline=None)
@given(MODELS, st.lists(RULES, max_size=3), DECISIONS, st.sampled_from(["", "tools", "x"]), st.sampled_from(["", "b2", "b9"]), st.integers(1, 5))
def test_it_finds_what_a_look_at_every_model_finds(
    models: list[Model], rules: list[Rule], decisions: dict[int, State], capability: str, provider: str, limit: int
) -> None:
    decided = {UUID(int=1000 + number): state for number, state in decisions.items()}
    made = index(*models, org=Approvals(tuple(rules), tuple(decided.items())))
    expected = []
    for one in sorted(models, key=lambda one: f"b{one.backend_id.int}::{one.upstream_model}"):
        state = state_of(decided.get(one.id), rules, one.backend_id, one.upstream_model, one.first_seen_at)
        answer = made.resolve("org", f"b{one.backend_id.int}::{one.upstream_model}")
        assert made.resolve("org", one.aliases[0]) == answer
        if state is not State.APPROVED:
            assert answer is Refusal.NOT_APPROVED
        elif not one.is_active:
            assert answer is Refusal.DEPRECATED
        else:
            assert isinstance(answer, Entry)
            assert answer.model == one
            if (not capability or capability in one.capabilities) and (not provider or provider == f"b{one.backend_id.int}"):
                expected.append(answer.model_id)
    found: list[str] = []
    more = True
    while more:
        entries, more = made.page("org", Filter(capability, provider), found[-1] if found else "", limit)
        found += [entry.model_id for entry in entries]
    assert found == expected


def test_nobody_knows_a_model_that_is_none_and_strangers_get_nothing() -> None:
    made = index(model(1), org=ALL)
    assert made.resolve("org", "b1::nothing") is Refusal.NOT_FOUND
    assert made.resolve("stranger", "b1::m1") is Refusal.NOT_APPROVED
    assert names(made, "stranger") == []


def test_it_follows_models_that_change_come_and_go() -> None:
    made = index(model(1), model(2), org=ALL)
    made.set_models([model(1).id], [model(1, active=False)])
    assert (names(made, "org"), made.resolve("org", "alias-1")) == (["b1::m2"], Refusal.DEPRECATED)
    made.set_models([], [model(3)])
    made.set_models([model(2).id], [])
    assert names(made, "org") == ["b1::m3"]


def test_it_follows_approvals_and_backends() -> None:
    made = index(model(1), model(2, backend=2), org=ALL)
    assert names(made, "org") == ["b1::m1", "b2::m2"]
    made.set_approvals({"org": Approvals(ALL.rules, ((model(1).id, State.REVOKED),))})
    assert names(made, "org") == ["b2::m2"]
    ill = Provider(UUID(int=2), "b2", "openai", "http", "unhealthy", "no answer")
    made.set_providers([PROVIDERS[0], ill])
    found = made.resolve("org", "b2::m2")
    assert isinstance(found, Entry)
    assert found.provider == ill
    made.set_providers([PROVIDERS[0]])
    assert (names(made, "org"), made.resolve("org", "b2::m2")) == ([], Refusal.NOT_FOUND)


def test_a_price_holds_until_the_next_one_begins() -> None:
    prices = tuple(Price(NOW + timedelta(days=days), "EUR", f"{days}", "", "1") for days in (0, 2))
    made, answers = index(model(1, prices=prices), org=ALL), Answers()
    entry = made.resolve("org", "b1::m1")
    assert isinstance(entry, Entry)
    assert price_at(entry.model, NOW - timedelta(days=1)) == (-1, NOW)
    told = [GetTenantModelResponse.FromString(answers.one(entry, NOW + timedelta(days=days))).model.price.input for days in (-1, 0, 1, 2, 3)]
    assert told == ["", "0", "0", "2", "2"]


def test_answers_are_messages_of_the_proto() -> None:
    made, answers = index(*(model(number, name="n" * 200 + str(number)) for number in range(3)), org=ALL), Answers()
    entries, more = made.page("org", Filter(), "", 2)
    page = ListTenantModelsResponse.FromString(answers.page(entries, more, NOW))
    assert [one.id for one in page.models] == [entry.model_id for entry in entries]
    assert [(one.name, one.health, one.url_kind) for one in page.providers] == [("b1", "healthy", "http")]
    assert read_token(page.next_page_token) == entries[-1].model_id
    assert (page.models[0].context_tokens, page.models[0].output_tokens, page.models[0].provider) == (8192, 0, "b1")
    assert read_token(token_of("b::é/ü")) == "b::é/ü"
