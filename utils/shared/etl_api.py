"""What an ETL of the user's imports: one line brings all that a rule and its tests need."""

from merged import summarize as summarize
from refused import InvalidMember as InvalidMember
from refused import is_number as is_number
from refused import refuse as refuse
from summary import Summary as Summary
