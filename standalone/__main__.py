"""`python -m standalone`: the same as the command `ias`."""

from standalone.cli import main

main()
