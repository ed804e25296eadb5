"""Load and run compiled programs with numpy and cffi only: devices, buffers, program, training loop."""
