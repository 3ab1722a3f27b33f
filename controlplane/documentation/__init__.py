"""The documentation of a published model for those who call it: one document, as JSON, Markdown and HTML."""
