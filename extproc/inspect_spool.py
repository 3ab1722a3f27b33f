"""`python -m extproc inspect DIR`: prints a spool's records as JSON lines. Reads only; a running extproc is not disturbed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from ias.spool_format import SpoolCorrupt, read_segment, segment_numbers, segment_path


def main(arguments: Sequence[str], out: BinaryIO) -> int:
    """Print and return the exit status: 1 when the spool is missing or corrupt."""
    parser = argparse.ArgumentParser(prog="python -m extproc inspect", description="Print a spool's records as JSON lines, oldest first.")
    parser.add_argument("directory", type=Path, help="the spool: IAS_SPOOL_DIR of an extproc")
    directory: Path = parser.parse_args(arguments).directory
    if not directory.is_dir():
        sys.stderr.write(f"extproc: {directory} is not a directory\n")
        return 1
    status = 0
    for number in segment_numbers(directory):
        try:
            _print_segment(segment_path(directory, number), out)
        except FileNotFoundError:
            continue  # consumed and deleted meanwhile
        except (SpoolCorrupt, OSError) as error:
            sys.stderr.write(f"extproc: {error}\n")
            status = 1
    return status


def _print_segment(segment: Path, out: BinaryIO) -> None:
    offset, behind = 0, -1
    while offset != behind:
        behind = offset
        for record, offset in read_segment(segment, behind):  # noqa: B007 -- the last offset is where reading goes on
            out.write(msgspec.json.encode({"segment": int(segment.stem), **msgspec.to_builtins(record)}) + b"\n")
