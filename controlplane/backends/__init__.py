"""Backends: the engines that a System Admin registered, and whether they answer."""
