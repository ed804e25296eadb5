"""What runs calls where the compiled program alone does not: one file a mode (graph/modes.py)."""
