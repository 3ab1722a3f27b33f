"""No mail at all: what a service without settings for it has."""

from controlplane.mail.ports import Mail, MailFailed


class NoMailer:
    """Refuses, and says what to set."""

    shows_links = False

    async def send(self, mail: Mail) -> None:
        raise MailFailed("This service sends no mail: set IAS_SMTP_HOST, or IAS_MAIL_FOLDER on one machine.")
