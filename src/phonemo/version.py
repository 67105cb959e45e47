"""The version, written here and nowhere else: pyproject.toml and the package read it from here."""

__version__ = "0.1.0"
