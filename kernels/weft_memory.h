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
  const int64_t n = bytes ? (bytes + WEFT_ALIGN - 1) / WEFT_ALIGN * WEFT_ALIGN : WEFT_ALIGN;
  void *p = NULL;
  if (posix_memalign(&p, huge ? WEFT_HUGE_PAGE : WEFT_ALIGN, (size_t)n)) return NULL;
#ifdef MADV_HUGEPAGE
  if (huge) madvise(p, (size_t)n / WEFT_HUGE_PAGE * WEFT_HUGE_PAGE, MADV_HUGEPAGE); /* a wish: it may fail */
#endif
  *size = n;
  return p;
}

#endif
