"""What each stage tells of an execution; functions write it, the harness reads it."""

__all__ = ["column_profile", "json_dataclass", "stages", "table"]
