"""Rules over a folder of migrations, told with file, line and a way to mend them."""

from datalayer.schema.validate.finding import RuleFinding, Severity
from datalayer.schema.validate.folder import validate

__all__ = ["RuleFinding", "Severity", "validate"]
