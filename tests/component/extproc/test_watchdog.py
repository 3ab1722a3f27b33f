"""A process whose event loop is stuck ends itself."""

import asyncio
import sys

from extproc.watchdog import EXIT_STATUS

LOOP = """
import asyncio, time
from extproc.watchdog import Watchdog

async def main():
    watchdog = Watchdog(stuck_after_s=1)
    watchdog.start()
    print("runs", flush=True)
    {}
    watchdog.stop()

asyncio.run(main())
"""


async def run(work: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOP.format(work), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"runs\n"
    return process


async def test_a_stuck_loop_ends_the_process_and_says_where_it_stood() -> None:
    process = await run("time.sleep(600)")
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == EXIT_STATUS
    assert b'File "<string>", line 9 in main' in said
