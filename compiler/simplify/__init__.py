"""Rewrite rules as data: algebra, shapes, numerical stability, product patterns."""
