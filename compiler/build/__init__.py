"""From text to binaries: compilers, cache, artifacts."""
