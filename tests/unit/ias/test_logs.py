"""Logs: one JSON object a line, whoever logs. In processes of their own, because logging is set up once for each."""

import json
import subprocess
import sys
from typing import Any

import pytest


def lines_of(script: str, level: str = "info") -> list[dict[str, Any]]:
    prelude = f"import logging, sys\nfrom ias import logs\nlogs.configure('example', {level!r})\nlog = logs.get('ias.example')\n"
    run = subprocess.run([sys.executable, "-c", prelude + script], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    return [json.loads(line) for line in run.stderr.splitlines()]


def test_a_line_says_when_who_and_what() -> None:
    (line,) = lines_of("log.info('key refused', reason='expired', count=3)")
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "message": "key refused", "service": "example", "reason": "expired", "count": 3}


def test_the_short_way_writes_the_same_line() -> None:
    (line,) = lines_of("logs.write_lines('request', [{'status': 200, 'model': None}])")
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "message": "request", "service": "example", "status": 200, "model": None}
    assert lines_of("logs.write_lines('request', [{}])", "warning") == []


def test_libraries_log_the_same_way() -> None:
    (line,) = lines_of("logging.getLogger('library').warning('slow: %s ms', 7)")
    assert (line["level"], line["message"], line["service"]) == ("warning", "slow: 7 ms", "example")


@pytest.mark.parametrize("logger", ["log", "logging.getLogger('library')"])
def test_an_exception_is_inside_its_line(logger: str) -> None:
    (line,) = lines_of(f"try:\n    1 / 0\nexcept ZeroDivisionError:\n    {logger}.exception('failed')")
    assert (line["level"], line["message"]) == ("error", "failed")
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    (line,) = lines_of(r"log.info('a\nb\r\u2028', value='c\nd', raw=b'\xff', odd=object)")
    assert line["message"] == "a\nb\r\u2028"
    assert line["value"] == "c\nd"


def test_less_severe_lines_are_left_out() -> None:
    script = "log.debug('no'); log.info('no'); log.warning('yes'); logging.getLogger('x').info('no')"
    assert [line["message"] for line in lines_of(script, "warning")] == ["yes"]


def test_context_of_a_request_is_on_every_line() -> None:
    script = "import structlog\nwith structlog.contextvars.bound_contextvars(request_id='r1'):\n    log.info('a')\nlog.info('b')"
    assert [line.get("request_id") for line in lines_of(script)] == ["r1", None]
