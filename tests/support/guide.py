"""A page of commands, cut into its sections, and the shell that runs them as a reader would."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

_RUN_S = 60


@dataclass
class Section:
    """What stands below one heading."""

    title: str
    blocks: list[tuple[str, str]] = field(default_factory=list)
    """Language and text of each block of code."""
    rows: list[list[str]] = field(default_factory=list)
    """The cells of its table."""


def sections_of(markdown: str) -> list[Section]:
    """Cut a page at its headings."""
    found: list[Section] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            found.append(Section(tokens[number + 1].content))
        elif token.type == "fence":
            found[-1].blocks.append((token.info, token.content))
        elif token.type == "tr_open":
            found[-1].rows.append([])
        elif token.type in {"td_open", "th_open"}:
            found[-1].rows[-1].append(tokens[number + 1].content)
    return found


def commands_of(block: str) -> list[str]:
    """The single commands of a block of shell: a comment, or the end of a line outside of quotes and continuations, ends one."""
    commands, lines = [], ""
    for line in block.splitlines(keepends=True):
        if not lines and (line.startswith("#") or not line.strip()):
            continue
        lines += line
        if not line.rstrip().endswith("\\") and lines.count("'") % 2 == 0 and lines.count('"') % 2 == 0:
            commands.append(lines.rstrip())
            lines = ""
    assert not lines, f"an open end: {lines}"
    return commands


class Shell:
    """Bash that keeps its variables from one command to the next, in a home of its own."""

    def __init__(self, home: Path, environment: Mapping[str, str], replaced: Mapping[str, str]) -> None:
        self.home, self._replaced = home, dict(replaced)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {"PATH": path, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "NO_COLOR": "1", **environment}

    def run(self, command: str, **replaced: str) -> str:
        """Run one command and return what it printed on stdout. It must end well."""
        kept = self.home / "variables"
        script = f"set -euo pipefail\n{self._fill(command, replaced)}\nenv -0 > {kept}"
        ran = subprocess.run(["bash", "-c", script], env=self.environment, capture_output=True, text=True, timeout=_RUN_S, cwd=self.home, check=False)
        assert ran.returncode == 0, f"{command}\nended with {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        self.environment = dict(pair.split("=", 1) for pair in kept.read_text().split("\0") if pair)
        return ran.stdout

    def run_file(self, program: str, code: str, suffix: str, **replaced: str) -> str:
        """Run a program in another language."""
        file = self.home / f"example{suffix}"
        file.write_text(self._fill(code, replaced))
        return self.run(f"{program} {file.name}")

    def _fill(self, text: str, more: Mapping[str, str]) -> str:
        for old, new in {**self._replaced, **more}.items():
            text = re.sub(re.escape(old), lambda _, new=new: new, text)  # type: ignore[misc]
        return text
