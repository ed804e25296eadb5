"""What Variables, functions and profiles show of themselves: tables, pictures, HTML."""
