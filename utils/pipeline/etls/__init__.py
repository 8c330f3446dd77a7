"""The user's ETLs: what a module declares, and how a first one is written from a table."""

__all__ = ["module", "new"]
