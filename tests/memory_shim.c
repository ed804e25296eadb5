/* Preloaded in front of the C library, for programs compiled with WEFT_INJECT (kernels/weft_inject.h): counts what a call
 * allocates and passes on its way, and makes one of these fail. Python sets and reads `shim` while no call runs. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WEFT_INJECT
#include "weft_inject.h"

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

enum { ALLOCATION = 7, NEVER = -1 };

struct {
  long seen[8];   /* since they were cleared: checks, polls, requests for memory, Python operations, ..., allocations */
  long late;      /* of them after the commit */
  long bytes;     /* that were allocated */
  long failed;    /* that were made to fail */
  long kind, at;  /* which are to fail: those of this kind from number `at` on, `many` of them */
  long many;
  long calls;     /* entered */
} shim = {.kind = NEVER};

static int inside, committed;

static int fails(int kind, long number) {
  if (committed) __atomic_add_fetch(&shim.late, 1, __ATOMIC_RELAXED);
  if (kind != shim.kind || number < shim.at || number >= shim.at + shim.many) return 0;
  __atomic_add_fetch(&shim.failed, 1, __ATOMIC_RELAXED);
  return 1;
}

__attribute__((visibility("default"))) int weft_inject(int where) {
  switch (where) {
    case WEFT_AT_ENTRY: inside++, shim.calls++, committed = 0; return 0;
    case WEFT_AT_RETURN: inside--, committed = 0; return 0;
    case WEFT_AT_COMMIT: committed = 1; return 0;
    default: return fails(where, shim.seen[where]++);
  }
}

static int refused(size_t bytes) {
  if (!inside) return 0;
  __atomic_add_fetch(&shim.bytes, (long)bytes, __ATOMIC_RELAXED);
  return fails(ALLOCATION, __atomic_fetch_add(&shim.seen[ALLOCATION], 1, __ATOMIC_RELAXED));
}

static void *none(void) { return errno = ENOMEM, NULL; }

void *malloc(size_t n) { return refused(n) ? none() : __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return refused(n * m) ? none() : __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return refused(n) ? none() : __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { return refused(n) ? none() : __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { return refused(n) ? none() : __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) {
  if (refused(n)) return ENOMEM;
  void *got = __libc_memalign(a, n);
  if (!got) return ENOMEM;
  *p = got;
  return 0;
}
void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t off) {
  if (refused(n)) return errno = ENOMEM, MAP_FAILED;
  return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, off);
}
