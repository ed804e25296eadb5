"""Example models on the public API, one file a model, each readable as a tutorial; and what `weft.estimators` gives."""
