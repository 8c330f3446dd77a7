"""How errors speak: what a message says it found, and how it names faulty records."""

__all__ = ["lines", "places", "wording"]
