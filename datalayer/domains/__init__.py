"""The package's own domains, strangers to each other: models, repository and rules, one file a domain."""
