"""Help for tests, of datalayer and of apps that use it; never imported by `import datalayer`."""
