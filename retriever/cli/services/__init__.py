"""Commands that run until they are stopped, for other programs to ask."""
