"""The mailbox of a world, a folder."""

import email
import email.policy
import re
from pathlib import Path
from typing import Any


class Mailbox:
    """The folder that takes mails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mails(self) -> list[Any]:
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in sorted(self.folder.glob("*.eml"))]

    def last(self, to: str) -> tuple[str, str]:
        """The newest mail's text, and the token of its link."""
        mail = self.mails()[-1]
        assert mail["to"] == to
        text = mail.get_content()
        link = re.search(r"http://127\.0\.0\.1:8085/[a-z-]+#token=([A-Za-z0-9_-]{43})\s", text)
        assert link, text
        return text, link[1]
