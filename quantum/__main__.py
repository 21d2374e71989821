"""``python -m quantum`` is the ``quantum`` command."""

from quantum.cli import main

if __name__ == "__main__":
    main()
