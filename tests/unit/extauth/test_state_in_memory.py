"""Records, publications and the snapshot that holds them."""

import msgspec

from extauth.publications import PublicationIndex
from extauth.records import RecordCache
from extauth.snapshot import Changed, Snapshot
from ias.apikeys import new_key
from ias.change_log import Change
from tests.unit.extauth.world import KEY, credential, known, publication


def test_the_least_recently_used_record_goes_first() -> None:
    cache = RecordCache(2)
    cache.put("a", known())
    cache.put("b", known())
    cache.get("a")
    cache.put("c", known())
    assert ["a" in cache, "b" in cache, "c" in cache] == [True, False, True]
    assert len(cache) == 2


def test_records_go_with_their_key_user_or_org() -> None:
    for owner in ("key-1", "user-1", "org-1"):
        cache = RecordCache(10)
        cache.put("a", known())
        cache.put("b", known(key_id="key-2", user_id="user-2", org_id="org-2"))
        cache.put("gone", None)
        cache.drop_owned([owner, "nobody"])
        assert ["a" in cache, "b" in cache, "gone" in cache] == [False, True, True]


def test_a_record_that_changed_its_owner_goes_with_the_new_one_only() -> None:
    cache = RecordCache(10)
    cache.put("a", known(user_id="user-1"))
    cache.put("a", known(user_id="user-2"))
    cache.drop_owned(["user-1"])
    assert "a" in cache
    cache.drop_owned(["user-2"])
    assert "a" not in cache
    assert cache._by_owner == {}


def models(index: PublicationIndex, org_id: str) -> list[str]:
    return [published.publication.model for published in index.of_org(org_id)]


def test_publications_by_org_follow_every_change() -> None:
    index = PublicationIndex()
    index.replace([publication("b"), publication("a", allowed_org_ids=("org-1", "org-2"))])
    assert (models(index, "org-1"), models(index, "org-2"), models(index, "org-3")) == (["a", "b"], ["a"], [])
    index.update(["pub-b"], [publication("b", allowed_org_ids=("org-2",))])
    assert (models(index, "org-1"), models(index, "org-2")) == (["a"], ["a", "b"])
    index.update(["pub-a", "unknown"], [])
    assert (models(index, "org-1"), models(index, "org-2"), len(index)) == ([], ["b"], 1)
    index.replace([])
    assert (models(index, "org-2"), index.find("b"), len(index)) == ([], None, 0)


def test_a_renamed_model_leaves_its_old_name() -> None:
    index = PublicationIndex()
    index.replace([publication("old", publication_id="p")])
    index.update(["p"], [publication("new", publication_id="p")])
    assert index.find("old") is None
    assert index.find("new") is not None


def test_a_name_that_another_publication_took_over_stays_with_it() -> None:
    index = PublicationIndex()
    index.replace([publication("m", publication_id="first")])
    index.update(["second"], [publication("m", publication_id="second")])
    index.update(["first"], [])
    found = index.find("m")
    assert found is not None
    assert found.publication.publication_id == "second"
    assert models(index, "org-1") == ["m"]


def test_the_listing_is_openais_model_object() -> None:
    index = PublicationIndex()
    index.replace([publication("m")])
    found = index.find("m")
    assert found is not None
    assert msgspec.json.decode(found.listing) == {"id": "m", "object": "model", "created": 1_795_132_800, "owned_by": "ias"}


def test_changes_are_sorted_by_kind_and_unknown_kinds_are_ignored() -> None:
    kinds = [("credential", "c"), ("key", "k"), ("user", "u"), ("org", "o"), ("publication", "p"), ("weather", "w"), ("credential", "c")]
    changed = Changed.of([Change(seq, kind, id_) for seq, (kind, id_) in enumerate(kinds)])
    assert changed == Changed(credentials=("c",), publications=("p",), owners=("k", "u", "o"))


def test_a_snapshot_is_stale_before_the_first_confirmation_and_after_its_age() -> None:
    snapshot = Snapshot(10, 10, max_age_s=5)
    assert not snapshot.is_fresh(0)
    snapshot.confirm(100)
    assert snapshot.is_fresh(105)
    assert not snapshot.is_fresh(105.1)


def test_changes_make_and_end_credentials_and_start_a_new_generation() -> None:
    snapshot, other = Snapshot(10, 10, 5), new_key()
    changed = Changed((KEY.credential_id, other.credential_id), (), ())
    snapshot.apply(changed, [credential()], [])
    assert (KEY.credential_id in snapshot.live, other.credential_id in snapshot.live) == (True, False)
    assert KEY.credential_id in snapshot.records
    snapshot.apply(changed, [credential(other)], [])
    assert (KEY.credential_id in snapshot.live, other.credential_id in snapshot.live) == (False, True)
    assert KEY.credential_id not in snapshot.records
    assert snapshot.generation == 2
