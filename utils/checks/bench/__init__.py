"""`make bench`: the pipeline beside other writers of workbooks, on the same data."""
