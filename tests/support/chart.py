"""The chart as Helm renders it, without a cluster."""

import functools
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "charts" / "ias"
RELEASE = "ias"
NAMESPACE = "inference"
GOLDEN = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
"""Names of the sets of values that everything is rendered for."""

Manifest = dict[str, Any]


def golden_values(name: str) -> dict[str, Any]:
    """One of these sets; a copy."""
    values: dict[str, Any] = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text())
    return values


def render(values: dict[str, Any]) -> dict[str, str]:
    """Each template's text, by its path in the chart. Raises helm_python.HelmError for values that are refused."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    return {path.removeprefix(f"{chart_name()}/"): text for path, text in texts.items()}


def manifests_of(texts: dict[str, str]) -> list[Manifest]:
    """All objects, in the order of templates."""
    found = [one for path, text in sorted(texts.items()) if path.endswith(".yaml") for one in yaml.load_all(text, yaml.CSafeLoader)]
    return [one for one in found if one is not None]


@functools.cache
def rendered(name: str) -> dict[str, str]:
    """`render` of a golden set."""
    return render(golden_values(name))


@functools.cache
def manifests(name: str) -> list[Manifest]:
    """`manifests_of` a golden set, for all tests: to be read, not changed."""
    return manifests_of(rendered(name))


@functools.cache
def chart_name() -> str:
    """The chart's name."""
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["name"])


def pods(objects: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates of these objects, by component."""
    templates = [one["spec"]["template"] for one in objects if "template" in one.get("spec", {})]
    return {template["metadata"]["labels"]["app.kubernetes.io/component"]: template for template in templates}
