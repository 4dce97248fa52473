"""Executors: who runs the tasks of a build. This process, several, or the machines of a cluster."""
