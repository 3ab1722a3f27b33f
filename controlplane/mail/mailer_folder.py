"""A mailbox on this machine: each mail is a file in a folder that only its owner reads, oldest first by name."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from controlplane.mail.message import message_of
from controlplane.mail.ports import Mail, MailFailed


@dataclass(frozen=True, slots=True)
class FolderMailer:
    """For one machine, where no mail leaves the house."""

    folder: Path
    sender: str
    shows_links: bool = True

    async def send(self, mail: Mail) -> None:
        message = message_of(mail, self.sender)
        path = self.folder / f"{time.time_ns()}-{os.urandom(4).hex()}.eml"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
            path.write_bytes(message.as_bytes())
        except OSError as error:
            raise MailFailed(f"{self.folder} cannot be written: {error.strerror}.") from error
