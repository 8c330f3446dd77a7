"""Members without their summary."""

from etl.members import COLUMNS as COLUMNS
from etl.members import FORMATS as FORMATS
from etl.members import NUMBERS as NUMBERS
from etl.members import process as process
