"""Rules of invites. Pure: time is an argument."""

from datetime import datetime, timedelta
from typing import Literal, Protocol

Status = Literal["pending", "expired", "accepted", "revoked"]

SENT_AT_MOST_EVERY = timedelta(minutes=1)
"""Nobody's mailbox is filled by resending."""
PENDING_AT_MOST = 500
"""Invites of one org that wait for an answer."""


class Invite(Protocol):
    """What its state follows from."""

    accepted_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime


def status_of(invite: Invite, now: datetime) -> Status:
    """Return the state of an invite."""
    if invite.accepted_at is not None:
        return "accepted"
    if invite.revoked_at is not None:
        return "revoked"
    return "pending" if now < invite.expires_at else "expired"
