typedef struct {
    int64_t n0;
    int64_t n1;
    int64_t n2;
    const double *p0;
    double *p1;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const double *restrict const p0 = a->p0;
    double *restrict const p1 = a->p1;
    (void)a, (void)worker;
    for (int64_t h = begin; h < end; h += 16) {
        for (int64_t g = 0; g < (a->n0 * a->n1); g += 32) {
            const int64_t i_end = weft_min64(h + 16, end);
            const int64_t j_end = weft_min64(g + 32, (a->n0 * a->n1));
            for (int64_t i0 = h; i0 < i_end; i0++) {
                #pragma GCC ivdep
                #pragma GCC unroll 1
                for (int64_t i3 = g; i3 < j_end; i3++) {
                    p1[((a->n0 * a->n1) * i0) + i3] = p0[(a->n2 * i3) + i0];
                }
            }
        }
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, int64_t n2, const double *p0, double *p1) {
    k0_args args = {.n0 = n0, .n1 = n1, .n2 = n2, .p0 = p0, .p1 = p1};
    k0_args *const a = &args;
    const int64_t rounds = a->n2;
    const int64_t grain = 1 + 200000 / ((((a->n0 * a->n1) * 53) + 500) + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
