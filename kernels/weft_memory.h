/* weft_memory.h: blocks of memory, 64-byte aligned, freed with free; large ones lie on huge pages where the system lets
 * them: filling memory page by page costs more than most kernels that write it. */
#ifndef WEFT_MEMORY_H
#define WEFT_MEMORY_H
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { WEFT_ALIGN = 64, WEFT_HUGE_PAGE = 2 << 20 };

/* At least `bytes` bytes, a multiple of 64, their number in *size; NULL: there are none. */
static inline void *weft_block(int64_t bytes, int64_t *size) {
  if (bytes < 0 || bytes > INT64_MAX / 2) return NULL; /* a product of lengths that overflowed */
  const int huge = bytes >= WEFT_HUGE_PAGE;
  /* The end of a large block is a huge page too where it fills half of one: 8 MB are 1.24 ms to 1.64 to fill then. */
  const int64_t unit = huge && bytes % WEFT_HUGE_PAGE >= WEFT_HUGE_PAGE / 2 ? WEFT_HUGE_PAGE : WEFT_ALIGN;
  const int64_t n = bytes ? (bytes + unit - 1) / unit * unit : WEFT_ALIGN;
  void *p = NULL;
  if (posix_memalign(&p, huge ? WEFT_HUGE_PAGE : WEFT_ALIGN, (size_t)n)) return NULL;
#ifdef MADV_HUGEPAGE
  if (huge) madvise(p, (size_t)n / WEFT_HUGE_PAGE * WEFT_HUGE_PAGE, MADV_HUGEPAGE); /* a wish: it may fail */
#endif
  *size = n;
  return p;
}

#endif
