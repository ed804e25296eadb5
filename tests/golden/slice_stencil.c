typedef struct {
    int64_t n0;
    const double *p0;
    double *p1;
} k0_args;

static void k0_body(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const double *restrict const p0 = a->p0;
    double *restrict const p1 = a->p1;
    (void)a, (void)worker;
    #pragma GCC ivdep
    for (int64_t i0 = begin; i0 < end; i0++) {
        const double t0 = p0[i0 + weft_minimum_i64(a->n0, 2)] - (2.0 * p0[i0 + weft_minimum_i64(a->n0, 1)]);
        p1[i0] = (t0 + p0[i0]) * 0.5;
    }
}

static void k0(weft_call *call, int64_t n0, const double *p0, double *p1) {
    k0_args args = {.n0 = n0, .p0 = p0, .p1 = p1};
    k0_args *const a = &args;
    const int64_t rounds = weft_maximum_i64(0, (a->n0 + -2));
    const int64_t grain = 1 + 200000 / (59 + 1);
    call->parallel_for(rounds, grain, call->threads, k0_body, a);
}
