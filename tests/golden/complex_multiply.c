typedef struct {
    int64_t n0;
    const weft_c64 *p0;
    const weft_c64 *p1;
    weft_c64 *p2;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const weft_c64 *restrict const p0 = a->p0;
    const weft_c64 *restrict const p1 = a->p1;
    weft_c64 *restrict const p2 = a->p2;
    (void)a, (void)worker;
    #pragma GCC ivdep
    for (int64_t i0 = begin; i0 < end; i0++) {
        p2[i0] = weft_mul_c64(p0[i0], p1[i0]);
    }
}

static void k0(weft_call *call, int64_t n0, const weft_c64 *p0, const weft_c64 *p1, weft_c64 *p2) {
    k0_args args = {.n0 = n0, .p0 = p0, .p1 = p1, .p2 = p2};
    k0_args *const a = &args;
    const int64_t rounds = a->n0;
    const int64_t grain = 1 + 200000 / (36 + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
