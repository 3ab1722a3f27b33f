"""A mail as RFC 5322 has it."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from controlplane.mail.ports import Mail, MailFailed


def message_of(mail: Mail, sender: str) -> EmailMessage:
    """Make the message. Raises MailFailed for an address that cannot stand in a header."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
    except ValueError as error:
        raise MailFailed("The address cannot be used in a mail.") from error
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip(" >") or "localhost")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(mail.text)
    return message
