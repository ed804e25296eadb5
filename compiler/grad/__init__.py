"""Derivatives: reverse mode (pullbacks) and forward mode (pushforwards), one rule beside another in a table."""
