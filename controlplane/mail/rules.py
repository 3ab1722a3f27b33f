"""What mails say, and the links in them. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from controlplane.mail.ports import Mail


@dataclass(frozen=True, slots=True)
class Links:
    """Links begin with the configured base URL, whatever host a request named.

    The secret stands in the fragment, which browsers send to nobody: it is in no access log and no Referer header.
    """

    base_url: str
    invite_lifetime: timedelta
    reset_lifetime: timedelta

    def invite(self, secret: str) -> str:
        """Where an invited person sets a password."""
        return f"{self.base_url}/invite#token={secret}"

    def reset(self, secret: str) -> str:
        """Where a person who forgot the password sets another one."""
        return f"{self.base_url}/password-reset#token={secret}"


def invite_mail(to: str, org: str, role: str, link: str, lifetime: timedelta) -> Mail:
    """Ask somebody in."""
    text = f"""You are invited to {org} on IAS as {role.replace("_", " ")}.

Open this link to set your password. It works once, for {_duration(lifetime)}:

  {link}

Without a browser: ias-admin invite accept, and paste the link.

If you did not expect this, ignore it: without you nothing happens.
"""
    return Mail(to, f"Invitation to {_line(org)} on IAS", text)


def reset_mail(to: str, username: str, link: str, lifetime: timedelta) -> Mail:
    """Let somebody in who forgot the password."""
    text = f"""Somebody asked for a new password of the account {username} on IAS.

Open this link to set it. It works once, for {_duration(lifetime)}:

  {link}

Without a browser: ias-admin password reset --link, and paste the link.

If it was not you, ignore it: your password stays as it is.
"""
    return Mail(to, "A new password for IAS", text)


def decision_mail(to: str, wish: str, state: str, granted: str | None, answer: str | None) -> Mail:
    """Tell who has asked for more what was decided; `granted` where it is something else."""
    paragraphs = (
        f"You asked for {wish}.",
        f"It was {state}: {granted}." if granted else f"It was {state}.",
        answer,
        "All that you have asked for: ias-admin quota list\n",
    )
    return Mail(to, f"Your request for more on IAS was {state}", "\n\n".join(one for one in paragraphs if one))


def address_of(username: str, email: str | None) -> str | None:
    """Where a person gets mail: the address, or a user name that is one; None: nowhere."""
    return email or (username if "@" in username else None)


def _duration(lifetime: timedelta) -> str:
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (count := int(lifetime.total_seconds()) // seconds) > 0:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "a moment"


def _line(text: str) -> str:
    """One line: a name must not begin another header."""
    return " ".join(text.split())
