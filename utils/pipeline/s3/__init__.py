"""Talking to S3: the functions' client, and transfers that overlap other work."""

__all__ = ["client", "overlap", "signed", "upload"]
