"""CloudEvents 1.0 on Kafka in binary mode: attributes are headers `ce_*`, the value is the data alone.

Sources: CloudEvents 1.0.2, and its Kafka protocol binding 3.2.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

Headers = tuple[tuple[str, bytes], ...]


def headers(event_type: str, source: str, event_id: str, time_ms: int) -> Headers:
    """Return the headers of an event with JSON data; `time_ms` is Unix time."""
    time = datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("ce_id", event_id.encode()),
        ("ce_time", time.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
    )


def expect_type(found: Iterable[tuple[str, bytes | None]], event_type: str) -> None:
    """Raise ValueError unless the headers are those of an event of this type. A stranger's header may be null."""
    for name, value in found:
        if name == "ce_type":
            if value != event_type.encode():
                raise ValueError(f"the type is {(value or b'')[:100].decode(errors='replace')}, not {event_type}")
            return
    raise ValueError("no CloudEvent in binary mode: there is no header ce_type")
