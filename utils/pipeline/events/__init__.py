"""What the functions are asked: the fields of their events, each with its rule."""

__all__ = ["gather", "scatter"]
