"""Kafka: the settings of every service that uses it, and the producer of those that write.

Without `IAS_KAFKA_BOOTSTRAP` nothing here is used: events go from disk to disk on one machine.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import Field, SecretStr, model_validator

from ias.cloudevents import Headers
from ias.settings import Settings

COMPRESSION = "zstd"
_REQUEST_TIMEOUT_MS = 10_000
_MAX_BATCH_BYTES = 256 << 10
_RETRY_MS = 500
_STOP_S = 5.0

# It reports every failed attempt to connect, many in a second; whoever uses it here says once what is wrong.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class KafkaSettings(Settings):
    """What leads to Kafka."""

    kafka_bootstrap: str = Field("", pattern=r"^([^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*)?$")
    """Kafka brokers, `host:port,host:port`; empty: no Kafka, the worker reads the files of this machine."""

    kafka_topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Before the name of every topic and consumer group, for clusters shared with others."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How brokers are talked to."""

    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we sign in, with SASL."""

    kafka_username: str = ""
    """Name for SASL."""

    kafka_password: SecretStr = SecretStr("")
    """Password for SASL."""

    kafka_ca_file: Path | None = None
    """Certificates that sign the brokers', PEM; empty: those of the system."""

    kafka_cert_file: Path | None = None
    """Our own certificate for SSL, PEM with its chain; empty: none."""

    kafka_key_file: Path | None = None
    """The key of our own certificate, PEM."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL") and not (self.kafka_username and self.kafka_password.get_secret_value()):
            raise ValueError("SASL needs IAS_KAFKA_USERNAME and IAS_KAFKA_PASSWORD")
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            raise ValueError("IAS_KAFKA_CERT_FILE and IAS_KAFKA_KEY_FILE go together")
        return self

    def topic(self, name: str) -> str:
        """The name of a topic, or of a consumer group, in this cluster."""
        return self.kafka_topic_prefix + name

    def kafka_client(self) -> dict[str, Any]:
        """Options of every aiokafka client; raises OSError for certificates that cannot be read."""
        options: dict[str, Any] = {"bootstrap_servers": self.kafka_bootstrap.split(","), "security_protocol": self.kafka_security_protocol}
        if "SSL" in self.kafka_security_protocol:
            options["ssl_context"] = context = ssl.create_default_context(cafile=str(self.kafka_ca_file) if self.kafka_ca_file else None)
            if self.kafka_cert_file and self.kafka_key_file:
                context.load_cert_chain(self.kafka_cert_file, self.kafka_key_file)
        if self.kafka_security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_username
            options["sasl_plain_password"] = self.kafka_password.get_secret_value()
        return options


class KafkaUnavailable(Exception):
    """Kafka did not take what was given, or not all of it: give it again. Transient; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Message:
    """One record; equal keys keep their order."""

    key: bytes
    value: bytes
    headers: Headers


class Publisher:
    """An idempotent producer that is made when it is needed, and anew after a failure that it does not survive."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._client = client
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when every message is on all replicas that are in sync, however long the brokers are away meanwhile.

        Raises KafkaUnavailable; then, as after a cancellation, some messages may be there.
        """
        acknowledged: list[asyncio.Future[Any]] = []
        try:
            producer = await self._started()
            for message in messages:
                acknowledged.append(await producer.send(topic, message.value, key=message.key, headers=list(message.headers)))  # noqa: PERF401
            await asyncio.gather(*acknowledged)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            await asyncio.gather(*acknowledged, return_exceptions=True)
            raise KafkaUnavailable(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Let go of the connections; what is not acknowledged soon is given up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._client,
                acks="all",
                enable_idempotence=True,
                compression_type=COMPRESSION,
                max_batch_size=_MAX_BATCH_BYTES,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                retry_backoff_ms=_RETRY_MS,
            )
            try:
                await producer.start()
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.stop()
