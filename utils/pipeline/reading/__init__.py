"""Reading tables: bytes of JSON or CSV, packed or not, become columns; reference tables, too."""
