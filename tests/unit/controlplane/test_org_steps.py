"""The life of an org and of an invite, state by state."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from controlplane.invites.rules import status_of
from controlplane.orgs.rules import WAYS_OUT, Step, after

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STEPS = {
    #            active      suspended    deleting
    "suspend": ("suspended", "suspended", None),
    "resume": ("active", "active", None),
    "delete": ("deleting", "deleting", "deleting"),
    "restore": ("active", None, "active"),
}


@pytest.mark.parametrize("step", get_args(Step))
def test_a_step_leads_where_the_table_says_or_nowhere(step: Step) -> None:
    assert tuple(after(step, status) for status in ("active", "suspended", "deleting")) == STEPS[step]
    assert after(step, "deleted") is None


def test_every_state_has_a_way_out_to_tell() -> None:
    assert set(WAYS_OUT) == {"active", "suspended", "deleting", "deleted"}


@dataclass
class Invite:
    expires_at: datetime
    accepted_at: datetime | None = None
    revoked_at: datetime | None = None


def test_an_invite_is_pending_until_one_of_three_things_happens() -> None:
    later = NOW + timedelta(seconds=1)
    assert status_of(Invite(later), NOW) == "pending"
    assert status_of(Invite(NOW), NOW) == "expired"
    assert status_of(Invite(later, revoked_at=NOW), NOW) == "revoked"
    assert status_of(Invite(NOW, accepted_at=NOW), NOW) == "accepted"
