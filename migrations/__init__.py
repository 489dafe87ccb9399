"""The package's own schema: numbered files, and the consolidated file that they lead to."""
