"""What mails say."""

from datetime import timedelta

import pytest

from controlplane.mail.message import message_of
from controlplane.mail.ports import Mail, MailFailed
from controlplane.mail.rules import Links, invite_mail, reset_mail

LINKS = Links("https://ias.example", timedelta(days=7), timedelta(hours=1))


def test_a_secret_stands_where_browsers_send_it_to_nobody() -> None:
    assert LINKS.invite("s3cret") == "https://ias.example/invite#token=s3cret"
    assert LINKS.reset("s3cret") == "https://ias.example/password-reset#token=s3cret"


def test_a_mail_names_what_it_is_about_and_how_long_its_link_works() -> None:
    mail = invite_mail("ada@example.com", "Data Science", "org_admin", LINKS.invite("s3cret"), LINKS.invite_lifetime)
    assert "Data Science on IAS as org admin" in mail.text
    assert "once, for 7 days:" in mail.text
    assert LINKS.invite("s3cret") in mail.text.split()
    assert "once, for 1 hour:" in reset_mail("ada@example.com", "ada", LINKS.reset("s3cret"), LINKS.reset_lifetime).text


def test_a_name_or_an_address_begins_no_other_header() -> None:
    mail = invite_mail("ada@example.com", "Evil\r\nBcc: all@example.com", "org_user", "link", timedelta(minutes=90))
    message = message_of(mail, "IAS <ias@example.com>")
    assert "bcc" not in {name.lower() for name in message}
    with pytest.raises(MailFailed):
        message_of(Mail("ada@example.com\r\nBcc: all@example.com", "x", "x"), "IAS <ias@example.com>")


def test_the_text_of_a_mail_is_in_no_representation() -> None:
    assert "s3cret" not in repr(reset_mail("ada@example.com", "ada", LINKS.reset("s3cret"), LINKS.reset_lifetime))
