"""Lets ``python -m ionsmith`` do what the ``ionsmith`` command does."""

from ionsmith.cli import main

if __name__ == "__main__":
    main()
