"""The library of the three functions: what they do to tables, sheets and summaries; the functions themselves only wire it."""
