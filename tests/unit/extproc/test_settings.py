"""extproc's settings."""

import pytest

from extproc.settings import ExtprocSettings
from ias.settings import ConfigError

REQUIRED = {
    "IAS_SPOOL_DIR": "/var/spool/ias",
    "IAS_VALKEY_URL": "redis://ias:hidden-password@valkey",
    "IAS_SIGNING_KEYS": '{"k1": "' + "ab" * 32 + '", "k0": "' + "cd" * 32 + '"}',
    "IAS_SIGNING_KEY_CURRENT": "k1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_secrets_never_show() -> None:
    settings = ExtprocSettings.load()
    assert settings.keys().keys == {"k1": b"\xab" * 32, "k0": b"\xcd" * 32}
    assert not [secret for secret in ("hidden-password", "abab", "cdcd") if secret in settings.describe() + repr(settings) + repr(settings.keys())]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("IAS_SIGNING_KEYS", '{"k1": "xyzzy"}', "a key of IAS_SIGNING_KEYS is not hexadecimal"),
        ("IAS_SIGNING_KEYS", '{"k1": "abcd"}', "a signing key needs at least 32 bytes"),
        ("IAS_SIGNING_KEY_CURRENT", "k2", "the current signing key 'k2' is not among the keys"),
        ("IAS_TRANSPORT", "carrier-pigeon", "IAS_TRANSPORT"),
        ("IAS_SPOOL_SYNC_MS", "0", "IAS_SPOOL_SYNC_MS"),
    ],
)
def test_a_wrong_setting_is_named(environment: pytest.MonkeyPatch, name: str, value: str, complaint: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        ExtprocSettings.load()
    assert complaint in str(refused.value)
    assert "xyzzy" not in str(refused.value)
