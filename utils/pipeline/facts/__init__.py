"""What each stage tells of an execution; functions write it, the harness reads it."""

__all__ = ["stages"]
