"""Where publications are: hosts and paths, and that nothing of one that is gone stays."""

import pytest

from extauth.publications import PublicationIndex, host_name
from tests.unit.extauth.world import index, publication


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.example", "api.example"),
        ("API.Example:8080", "api.example"),
        ("api.example.", "api.example"),
        ("api.example.:443", "api.example"),
        ("[::1]:8080", "[::1"),
        ("", ""),
    ],
)
def test_a_host_is_compared_by_its_name_alone(host: str, name: str) -> None:
    assert host_name(host) == name


def found(publications: PublicationIndex, model: str, *hosts: str) -> list[bool]:
    return [publications.find(model, host) is not None for host in hosts]


def test_a_public_hostname_is_a_virtual_host() -> None:
    publications = index(publication("a", public_hostname="a.example"), publication("b", public_hostname="b.example"), publication("all"))
    assert found(publications, "a", "a.example", "A.example:80", "b.example", "gateway:8080", "") == [True, True, False, True, True]
    assert found(publications, "all", "a.example", "b.example", "gateway:8080") == [True, True, True]
    publications.update(["pub-b"], [])
    assert found(publications, "a", "b.example") == [True], "nobody has that name any more"


def test_at_its_own_host_a_path_is_found_before_that_of_one_without_a_host() -> None:
    publications = index(publication("a", public_hostname="a.example", external_path="/x"), publication("b", external_path="/x"))
    own, foreign = publications.at("/x", "a.example"), publications.at("/x", "gateway")
    assert own is not None
    assert own.publication.model == "a"
    assert foreign is None, "two could be meant"


def test_a_path_follows_its_publication() -> None:
    publications = index(publication("a", external_path="/x"))
    publications.update(["pub-a"], [publication("a", external_path="/y")])
    assert (publications.at("/x"), publications.at("/y") is not None) == (None, True)
    publications.update(["pub-a"], [])
    assert publications.at("/y") is None
    assert not publications._by_path
    publications.replace([publication("b", external_path="/z", public_hostname="h", require_api_key=False, owner_org_id="o")])
    assert publications.visited_of(["o", "p"]) == ("pub-b",)
    publications.update(["pub-b"], [])
    assert (publications.visited_of(["o"]), dict(publications._hosts), publications._visited) == ((), {}, {})
