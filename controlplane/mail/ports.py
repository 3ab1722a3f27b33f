"""The port to whatever carries mail."""

from dataclasses import dataclass, field
from typing import Protocol


class MailFailed(Exception):
    """The mail did not go out; the message says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one person. Its text may hold a link that is as good as a password: it is never logged."""

    to: str
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Carries mail."""

    @property
    def shows_links(self) -> bool:
        """Whether the admin who invites may see the link too: there is one machine and nobody else's mailbox."""

    async def send(self, mail: Mail) -> None:
        """Hand a message over. Raises MailFailed."""
