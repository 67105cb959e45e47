"""``python -m phonemo`` is the same as ``phonemo``."""

from phonemo.cli.main import main

if __name__ == "__main__":
    main()
