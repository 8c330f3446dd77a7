"""A page that lives: executions as they run, and tables that are dropped on it."""
