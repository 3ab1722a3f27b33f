"""Examples taken out of a rendered document, and run as the one who reads it would run them."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

JAVASCRIPT = Path(sys.prefix) / "javascript" / "node_modules"
"""What `make setup` installs with npm."""
_SAVED = re.compile(r"Save it as `([^`]+)` and run `([^`]+)`\.")
_RUN_S = 60


@dataclass(frozen=True)
class Example:
    """What stands below one heading: a program, how it is run, and what it prints."""

    title: str
    language: str
    code: str
    prints: str
    file: str = ""
    command: str = ""

    def run(self, folder: Path, api_key: str) -> str:
        """Run it in an empty folder with nothing but PATH and the key, and return what it printed. It must end well."""
        command = self.code
        if self.file:
            (folder / self.file).write_text(self.code)
            command = self.command
        if self.language == "javascript":
            needs_node()
            (folder / "node_modules").symlink_to(JAVASCRIPT)
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "IAS_API_KEY": api_key}
        ran = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=_RUN_S, check=False)
        assert ran.returncode == 0, f"{self.title} ended with {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def expects(self, printed: str) -> bool:
        """Whether that is what the document says; `…` stands for anything."""
        pattern = ".*".join(re.escape(part) for part in self.prints.split("…"))
        return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def examples_in(markdown: str) -> dict[str, Example]:
    """Return the examples of a document by title: each is a heading, a program and a block of output."""
    found: dict[str, Example] = {}
    title = text = ""
    program: tuple[str, str] | None = None
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and after is not None:
            title, text, program = after.content, "", None
        elif token.type == "inline":
            text += f"{token.content}\n"
        elif token.type == "fence" and token.info == "output":
            assert program is not None, f"{title}: output of no program"
            saved = _SAVED.search(text)
            file, command = saved.groups() if saved else ("", "")
            found[title] = Example(title, program[0], program[1], token.content.strip(), file, command)
        elif token.type == "fence":
            program = token.info, token.content.rstrip("\n")
    return found


def needs_node() -> None:
    """Skip where npm has installed nothing; in CI a skip is a failure."""
    if not shutil.which("node") or not JAVASCRIPT.is_dir():
        pytest.skip("JavaScript needs node and npm, then `make setup`")
