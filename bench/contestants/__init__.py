"""One module a framework; cases.py says what each holds."""
