"""Looking for what is wrong with a database, without writing a byte to it.

`check` is the doctor; the modules beside it each look at one thing. Domain rules come from the domains.
"""

from datalayer.schema.check.checking import check, check_file
from datalayer.schema.finding import Finding

__all__ = ["Finding", "check", "check_file"]
