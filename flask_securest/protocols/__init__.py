"""Formats and exchanges that other systems have defined, without providers."""
