"""`python -m ias_admin`."""

from ias_admin.cli import main

if __name__ == "__main__":
    main()
