"""Names that Theano kept in its sandbox."""
