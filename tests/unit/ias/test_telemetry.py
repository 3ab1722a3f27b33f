"""Metric names: one place, one style, no tenant as a label."""

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from ias import telemetry

METRICS = {name: value for name, value in vars(telemetry).items() if isinstance(value, MetricWrapperBase)}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_named_and_described(name: str) -> None:
    metric = METRICS[name]
    full = metric._name + ("_total" if isinstance(metric, Counter) else "")
    assert re.fullmatch(r"(ias|gen_ai)_[a-z]+(_[a-z]+)*", full)
    assert metric._documentation.endswith(".")
    assert isinstance(metric, Counter) == full.endswith("_total")
    assert isinstance(metric, Counter | Gauge | Histogram)
    assert not {"org", "user", "key", "request_id"} & set(metric._labelnames)


def test_names_are_unique() -> None:
    names = [metric._name for metric in METRICS.values()]
    assert len(set(names)) == len(names)


def test_every_metric_is_in_the_registry_that_is_served() -> None:
    assert {metric._name for metric in METRICS.values()} == {family.name for family in telemetry.REGISTRY.collect()}


def test_an_empty_address_serves_nothing() -> None:
    assert telemetry.expose("") is None
