"""One opened database: connections, transactions, statement log, and what differs between engines."""
