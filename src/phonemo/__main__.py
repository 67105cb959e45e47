"""``python -m phonemo`` is the same as ``phonemo``."""

from phonemo.cli.app import main

if __name__ == "__main__":
    main()
