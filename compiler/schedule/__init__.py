"""Which operations share a kernel (fusion), loop order and tiles, memory plan."""
