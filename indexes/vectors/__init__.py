"""Vectors on disk, brute force over them, and the engines of approximate search."""
