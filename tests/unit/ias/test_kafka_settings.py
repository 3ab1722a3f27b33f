"""What leads to Kafka, and what is said of a way that cannot be meant."""

import pytest

from ias.kafka import KafkaSettings
from ias.settings import ConfigError


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> KafkaSettings:
    for name, value in variables.items():
        monkeypatch.setenv(f"IAS_KAFKA_{name.upper()}", value)
    return KafkaSettings.load()


def test_without_any_there_is_no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch).kafka_bootstrap == ""


def test_a_client_signs_in_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, bootstrap="a:9092,b:9092", security_protocol="SASL_SSL", username="ias", password="hidden")
    client = settings.kafka_client()
    assert client["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert (client["sasl_mechanism"], client["sasl_plain_username"], client["sasl_plain_password"]) == ("SCRAM-SHA-512", "ias", "hidden")
    assert client["ssl_context"].check_hostname
    assert "hidden" not in settings.describe()


def test_topics_have_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, topic_prefix="prod.").topic("ias.usage.v1") == "prod.ias.usage.v1"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"bootstrap": "a"}, "IAS_KAFKA_BOOTSTRAP"),
        ({"bootstrap": "a:1, b:2"}, "IAS_KAFKA_BOOTSTRAP"),
        ({"security_protocol": "SASL_SSL"}, "SASL needs IAS_KAFKA_USERNAME and IAS_KAFKA_PASSWORD"),
        ({"cert_file": "/c.pem"}, "IAS_KAFKA_CERT_FILE and IAS_KAFKA_KEY_FILE go together"),
        ({"topic_prefix": "a b"}, "IAS_KAFKA_TOPIC_PREFIX"),
    ],
)
def test_what_cannot_be_meant(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(monkeypatch, **variables)
