"""Runs LocalStack's Lambda functions as OS processes, without Docker."""
