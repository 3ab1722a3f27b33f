"""One module for each noun; each command is one call of the REST API, or a few."""
