"""The compiler: from the graph a user wrote to C and CUDA text and the binaries built from it."""
