"""Mail by SMTP (RFC 5321), in a thread: the standard library's client blocks."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from typing import Literal

from controlplane.mail.message import message_of
from controlplane.mail.ports import Mail, MailFailed

_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """One connection for each mail. The server's certificate is checked; `none` is for a relay on this machine."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    username: str
    password: str = field(repr=False)
    sender: str
    shows_links: bool = False

    async def send(self, mail: Mail) -> None:
        try:
            await asyncio.to_thread(self._send, mail)
        except (OSError, smtplib.SMTPException) as error:
            raise MailFailed(f"{self.host}:{self.port} did not take the mail ({type(error).__name__}).") from error

    def _send(self, mail: Mail) -> None:
        message = message_of(mail, self.sender)
        with self._connect() as server:
            if self.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.username:
                server.login(self.username, self.password)
            server.send_message(message)

    def _connect(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_S, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)
