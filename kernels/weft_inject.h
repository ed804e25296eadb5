/* weft_inject.h: the places where a call may still fail, by name. A test that compiles with WEFT_INJECT provides
 * weft_inject, which counts them and may make any of them fail; otherwise the names leave nothing behind. */
#ifndef WEFT_INJECT_H
#define WEFT_INJECT_H

#ifdef WEFT_INJECT
enum { WEFT_AT_CHECK, WEFT_AT_STOP, WEFT_AT_MEMORY, WEFT_AT_HOST, WEFT_AT_ENTRY, WEFT_AT_RETURN, WEFT_AT_COMMIT };
int weft_inject(int where);
#define WEFT_FAILS(where, condition) (weft_inject(WEFT_AT_##where) || (condition))
#define WEFT_PASSES(where) ((void)weft_inject(WEFT_AT_##where))
#else
#define WEFT_FAILS(where, condition) (condition)
#define WEFT_PASSES(where) ((void)0)
#endif

#endif
