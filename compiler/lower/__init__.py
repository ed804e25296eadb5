"""From a kernel to its loop nest."""
