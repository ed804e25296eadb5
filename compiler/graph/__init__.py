"""What the user builds: Variable, tensors, indexing, math, nnet, random, scan, shared variables, optimizers."""
