"""Hand-written C and CUDA that generated code includes or calls: vector math, GEMM, reductions, random numbers."""
