"""Settings of mail."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ias.settings import Settings


class MailSettings(Settings):
    """How mail leaves the service, and how long its links work."""

    mail_folder: Path | None = None
    """Folder that takes mails as files, for one machine; the link of an invite is then also in the answer to the admin. Else SMTP is used."""

    mail_from: str = Field("IAS <ias@localhost>", pattern=r"^[^\r\n]*[^@\s]+@[^@\s]+$")
    """Sender of mails."""

    smtp_host: str = ""
    """Server that takes mails; empty, and without a folder: none is sent."""

    smtp_port: int = Field(587, ge=1, le=65535)
    """Its port: 587 for `starttls`, 465 for `tls`."""

    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is protected; `none` only for a relay on the same machine."""

    smtp_username: str = ""
    """User at the server; empty: no sign-in there."""

    smtp_password: SecretStr = SecretStr("")
    """Password at the server."""

    invite_lifetime_s: int = Field(7 * 86400, ge=60, le=90 * 86400)
    """Seconds that an invite can be accepted."""

    reset_lifetime_s: int = Field(3600, ge=60, le=86400)
    """Seconds that the link of a password reset works."""
