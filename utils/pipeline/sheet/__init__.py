"""Sheets and workbooks: rows rendered as XML, and deflated parts joined into one .xlsx file."""
