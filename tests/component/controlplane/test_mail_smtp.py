"""Mail by SMTP, to a server that speaks it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from controlplane.mail.mailer_smtp import SmtpMailer
from controlplane.mail.ports import Mail, MailFailed

MAIL = Mail("ada@example.com", "Hello", "The link: https://ias.example/invite#token=s3cret\n")


class Server:
    """As much of RFC 5321 as one mail needs; `refused` is a command that it refuses."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.commands: list[str] = []
        self.mails: list[str] = []
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().strip():
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == self.refused:
                writer.write(b"550 no\r\n")
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                self.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
            if verb == "QUIT":
                break
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


def mailer(server: Server, security: str = "none") -> SmtpMailer:
    return SmtpMailer("127.0.0.1", server.port, security, "", "", "IAS <ias@example.com>")  # type: ignore[arg-type]


async def test_a_mail_arrives_as_it_is(server: Server) -> None:
    await mailer(server).send(MAIL)
    assert "rcpt TO:<ada@example.com>" in server.commands
    (text,) = server.mails
    assert "Auto-Submitted: auto-generated\r\n" in text
    assert "#token=s3cret" in text


async def test_a_server_without_encryption_gets_nothing_when_it_was_asked_for(server: Server) -> None:
    with pytest.raises(MailFailed, match="SMTPNotSupportedError"):
        await mailer(server, "starttls").send(MAIL)
    assert server.mails == []
    assert not [line for line in server.commands if line.lower().startswith(("mail", "rcpt"))]


async def test_what_a_server_refuses_is_a_failure_without_the_text(server: Server) -> None:
    server.refused = "RCPT"
    with pytest.raises(MailFailed) as failure:
        await mailer(server).send(MAIL)
    assert "s3cret" not in str(failure.value)


async def test_nobody_who_listens_is_a_failure(server: Server) -> None:
    server.port = 1
    with pytest.raises(MailFailed, match=r"127\.0\.0\.1:1 "):
        await mailer(server).send(MAIL)
