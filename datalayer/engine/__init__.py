"""One opened database: connections, transactions, the statement log, and every difference between the engines."""
