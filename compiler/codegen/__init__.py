"""From a loop nest to C text, CUDA text and host program text: one expression printer, two dialects."""
