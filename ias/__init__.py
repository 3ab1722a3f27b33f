"""The shared kernel: every contract between two processes is defined in exactly one file of this package."""
