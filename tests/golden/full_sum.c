typedef struct {
    int64_t n0;
    int64_t n1;
    const double *p0;
    double *p1;
    double *s1;
    double acc0;
} k0_args;

static void k0_stage0(void *arg, int64_t begin, int64_t end, int worker) {
    const k0_args *a = arg;
    const double *restrict const p0 = a->p0;
    double *restrict const p1 = a->p1;
    double *restrict const s1 = a->s1;
    (void)a, (void)worker, (void)p0, (void)p1, (void)s1;
    for (int64_t o = begin; o < end; o++) {
        const int64_t b = o * WEFT_BLOCK;
        const int64_t e = weft_min64(b + WEFT_BLOCK, (a->n0 * a->n1));
        double lane0[8], end0[8], all0[8];
        int64_t hard8 = 0;
        {
            for (int l = 0; l < 8; l++) all0[l] = 0.0;
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 8; l++) lane0[l] = 0.0;
                int64_t j = p;
                for (; j + 8 <= f; j += 8) {
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 8; l++) {
                        const int64_t i2 = j + l;
                        hard8 |= weft_exp_is_hard_f64(p0[i2]);
                        lane0[l] = lane0[l] + weft_exp_fast_f64(p0[i2]);
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 8; l++) {
                        const int64_t i2 = j + l;
                        hard8 |= ((l < rest) ? weft_exp_is_hard_f64((l < rest) ? p0[i2] : 0.0) : 0);
                        end0[l] = lane0[l] + (l < rest ? weft_exp_fast_f64((l < rest) ? p0[i2] : 0.0) : 0.0);
                    }
                } else {
                    for (int l = 0; l < 8; l++) end0[l] = lane0[l];
                }
                for (int l = 0; l < 8; l++) all0[l] = all0[l] + end0[l];
            }
        }
        if (hard8) {
            for (int l = 0; l < 8; l++) all0[l] = 0.0;
            for (int64_t p = b; p < e; p += WEFT_PART) {
                const int64_t f = weft_min64(p + WEFT_PART, e);
                for (int l = 0; l < 8; l++) lane0[l] = 0.0;
                int64_t j = p;
                for (; j + 8 <= f; j += 8) {
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 8; l++) {
                        const int64_t i2 = j + l;
                        lane0[l] = lane0[l] + weft_exp_f64(p0[i2]);
                    }
                }
                if (j < f) {
                    const int rest = (int)(f - j);
                    WEFT_HIDDEN(j);
                    #pragma GCC ivdep
                    #pragma GCC unroll 1
                    for (int l = 0; l < 8; l++) {
                        const int64_t i2 = j + l;
                        end0[l] = lane0[l] + (l < rest ? weft_exp_f64(((l < rest) ? p0[i2] : 0.0)) : 0.0);
                    }
                } else {
                    for (int l = 0; l < 8; l++) end0[l] = lane0[l];
                }
                for (int l = 0; l < 8; l++) all0[l] = all0[l] + end0[l];
            }
        }
        double block0 = all0[0];
        if (e - b > 16) {
            double all0_4[4];
            for (int l = 0; l < 4; l++) all0_4[l] = all0[l] + all0[l + 4];
            double all0_2[2];
            for (int l = 0; l < 2; l++) all0_2[l] = all0_4[l] + all0_4[l + 2];
            block0 = all0_2[0] + all0_2[1];
        } else {
            for (int l = 1; l < 8 && l < (int)(e - b); l++) block0 = block0 + all0[l];
        }
        s1[o] = block0;
    }
}

static void k0(weft_call *call, int64_t n0, int64_t n1, const double *p0, double *p1, double *s1) {
    k0_args args = {.n0 = n0, .n1 = n1, .p0 = p0, .p1 = p1, .s1 = s1};
    k0_args *const a = &args;
    call->parallel_for((((a->n0 * a->n1) + WEFT_BLOCK - 1) / WEFT_BLOCK), 3, call->threads, k0_stage0, &args);
    a->acc0 = (a->n0 * a->n1) > 0 ? a->s1[0] : 0.0;
    double low0 = 0.0;
    for (int64_t o = 1; o < (((a->n0 * a->n1) + WEFT_BLOCK - 1) / WEFT_BLOCK); o++) weft_join_f64(&a->acc0, &low0, a->s1[o]);
    a->acc0 = weft_joined_f64(a->acc0, low0);
    p1[0] = a->acc0;
}
