"""The commands of `weft`, a module each: its docstring is the help text, what follows the first line its epilog."""
