"""Reading exports of the service before IAS: whatever is in them, the message is exact and no key gets out."""

import json
from typing import Any

import pytest
import yaml

from ias_admin import old_publications
from ias_admin.old_publications import NotAnExport, OldPublication, read_export
from tests.support.old_exports import OLD_KEY, config_map, export, published


def one(item: dict[str, Any]) -> OldPublication:
    (found,) = read_export(export(item).encode())
    assert OLD_KEY not in repr(found)
    return found


def test_a_publication_as_the_old_service_wrote_it() -> None:
    assert one(published("iris")) == OldPublication(
        "tenant-a/published-model-metadata-iris",
        "iris",
        "tenant-a",
        {
            "modelType": "traditional",
            "publicHostname": "api.router.inference-in-a-box",
            "externalPath": "/published/models/iris",
            "rateLimiting": {"requestsPerMinute": 100, "requestsPerHour": 5000, "burstLimit": 10},
        },
    )


def test_one_of_before_hostnames_takes_it_from_its_address() -> None:
    assert one(published("iris", publicHostname=None)).config["publicHostname"] == "api.router.inference-in-a-box"
    bare = one(published("iris", publicHostname=None, externalUrl=None))
    assert "publicHostname" not in bare.config
    assert "no hostname" in bare.notes[0]


def test_what_is_the_default_now_is_left_to_it() -> None:
    old = one(published("llm", modelType="openai", externalUrl="https://x/v1/models/llm", rateLimiting={"requestsPerMinute": 0, "burstLimit": 10}))
    assert old.config == {"modelType": "openai", "publicHostname": "api.router.inference-in-a-box"}
    assert "needs requestsPerMinute" in old.notes[0]
    assert "modelType" not in one(published("m", modelType="pytorch")).config


def test_who_may_call_is_taken_over_where_it_is_written_down() -> None:
    old = one(published("m", authentication={"requireApiKey": False, "allowedTenants": ["tenant-a", "tenant-b"]}))
    assert old.config["authentication"] == {"requireApiKey": False, "allowedTenants": ["tenant-a", "tenant-b"]}


@pytest.mark.parametrize(
    ("item", "wrong"),
    [
        (published("m", status="deleting"), "its status is 'deleting'"),
        (published("a/b"), "has a slash"),
        (published("m", tenantId=".."), "nothing but dots"),
        (config_map("published-model-metadata-m", "tenant-a", {}, "m"), "metadata.json is missing"),
        (config_map("published-model-metadata-m", "tenant-a", {"metadata.json": f'{{"apiKey": "{OLD_KEY}"'}, "m"), "not a JSON object"),
        (config_map("published-model-metadata-m", "tenant-a", {"metadata.json": "[]"}, "m"), "not a JSON object"),
        (config_map("published-model-metadata-m", "tenant-a", {"metadata.json": "[" * 100_000}, "m"), "not a JSON object"),
        (config_map("published-model-metadata-", "", {"metadata.json": "{}"}), "which model"),
    ],
)
def test_what_cannot_be_taken_over_says_why(item: dict[str, Any], wrong: str) -> None:
    assert wrong in one(item).wrong


def test_a_model_without_a_name_in_it_has_that_of_its_config_map() -> None:
    item = config_map("published-model-metadata-iris", "tenant-a", {"anything.json": json.dumps({"status": "active"})})
    assert (one(item).model, one(item).tenant, one(item).wrong) == ("iris", "tenant-a", "")


def test_exports_of_several_namespaces_one_object_and_json() -> None:
    both = f"{export(published('a'))}---\n{export(published('b', 'tenant-b'))}"
    assert [(old.model, old.tenant) for old in read_export(both.encode())] == [("a", "tenant-a"), ("b", "tenant-b")]
    assert [old.model for old in read_export(yaml.safe_dump(published("a")).encode())] == ["a"]
    assert [old.model for old in read_export(json.dumps({"kind": "ConfigMapList", "items": [published("a")]}).encode())] == ["a"]
    assert read_export(export().encode()) == []
    assert read_export(b"") == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"kind: List\nitems: [\napiKey: {OLD_KEY}".encode(), "line 4"),
        (b"just text", "kubectl get configmap"),
        (b"- a\n- b", "kubectl get configmap"),
        (b"kind: List\nitems: 3", "no items"),
        (b"\xff\xfe", "UTF-8"),
        (b"a: &a [1]\nb: *a", "aliases"),
        (b"kind: !!python/object/apply:os.system ['true']", "not YAML"),
        (b"[" * 10_000, "not YAML"),
        (b"kind: \x00", "not YAML"),
    ],
)
def test_a_file_that_is_no_export_is_refused_without_quoting_it(content: bytes, reason: str) -> None:
    with pytest.raises(NotAnExport) as refused:
        read_export(content)
    assert reason in str(refused.value)
    assert OLD_KEY not in str(refused.value)


def test_sizes_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotAnExport, match="16 MiB"):
        read_export(b" " * (old_publications.MAX_BYTES + 1))
    monkeypatch.setattr(old_publications, "MAX_PUBLICATIONS", 1)
    with pytest.raises(NotAnExport, match="more than 1 publications"):
        read_export(export(published("a"), published("b")).encode())
