"""Pictures and pages of a database: drawings of its tables, the report, and the templates of both."""
