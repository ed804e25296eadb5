"""weft_random.h in NumPy: the same operations in the same order, so the same bits. Needs numpy only."""

import numpy as np

U32 = np.uint64(0xFFFFFFFF)
LOG_TERMS = [1.0 / n for n in range(23, 1, -2)]
SIN_TERMS = [
    1.0 / 355687428096000,
    -1.0 / 1307674368000,
    1.0 / 6227020800,
    -1.0 / 39916800,
    1.0 / 362880,
    -1.0 / 5040,
    1.0 / 120,
    -1.0 / 6,
]
COS_TERMS = [
    1.0 / 20922789888000,
    -1.0 / 87178291200,
    1.0 / 479001600,
    -1.0 / 3628800,
    1.0 / 40320,
    -1.0 / 720,
    1.0 / 24,
    -0.5,
]
SQRT_HALF = np.uint64(0x3FE6A09E667F3BCD)


def philox(key, counter):
    """Philox4x32-10: two key words and four counter words (integers or arrays) to four arrays of uint64 below 2^32."""
    k0, k1 = (np.asarray(k, np.uint64) for k in key)
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    for _ in range(10):
        p, q = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (q >> np.uint64(32)) ^ c1 ^ k0, q & U32, (p >> np.uint64(32)) ^ c3 ^ k1, p & U32
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & U32, (k1 + np.uint64(0xBB67AE85)) & U32
    return c0, c1, c2, c3


def block(key, hi, i):
    """The four words of element i (an array) of draw hi."""
    i = np.asarray(i).astype(np.uint64)
    key, hi = int(key), int(hi)
    return philox((key & 0xFFFFFFFF, key >> 32), (i & U32, i >> np.uint64(32), hi & 0xFFFFFFFF, hi >> 32))


def random_u32(key, hi, i):
    return block(key, hi, i)[0].astype(np.uint32)


def random_u64(key, hi, i):
    w = block(key, hi, i)
    return w[0] << np.uint64(32) | w[1]


def uniform_f32(key, hi, i):
    return (block(key, hi, i)[0] >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def uniform_f64(key, hi, i):
    return (random_u64(key, hi, i) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def horner(terms, z):
    p = terms[0]
    for c in terms[1:]:
        p = p * z + c
    return p


def exact_log(x):
    u = np.asarray(x, np.float64).view(np.uint64) - SQRT_HALF
    e = (u.view(np.int64) >> np.int64(52)).astype(np.float64)
    m = ((u & np.uint64(0xFFFFFFFFFFFFF)) + SQRT_HALF).view(np.float64)
    s = (m + -1.0) / (m + 1.0)
    z = s * s
    t = s + s
    r = t + (t * z) * horner(LOG_TERMS, z)
    return e * 6.93147180369123816490e-01 + (r + e * 1.90821492927058770002e-10)


def sin_quarter(y):
    x = y * 1.5707963267948966
    z = x * x
    return x + (x * z) * horner(SIN_TERMS, z)


def cos_quarter(y):
    x = y * 1.5707963267948966
    z = x * x
    return 1.0 + z * horner(COS_TERMS, z)


def quarter_turns(u):
    v = np.asarray(u, np.float64) * 4.0
    q = (v + 0.5).astype(np.int32)
    return q, v - q


def exact_cos_turn(u):
    q, y = quarter_turns(u)
    r = np.where(q & 1, sin_quarter(y), cos_quarter(y))
    return np.where(((q & 3) == 1) | ((q & 3) == 2), -r, r)


def exact_sin_turn(u):
    q, y = quarter_turns(u)
    r = np.where(q & 1, cos_quarter(y), sin_quarter(y))
    return np.where((q & 3) >= 2, -r, r)


def normal_f64(key, hi, i):
    w = block(key, hi, i)
    a = ((w[0] << np.uint64(32) | w[1]) >> np.uint64(11)) + np.uint64(1)
    b = (w[2] << np.uint64(32) | w[3]) >> np.uint64(11)
    radius = np.sqrt(-2.0 * exact_log(a.astype(np.float64) * 2.0**-53))
    return radius * exact_cos_turn(b.astype(np.float64) * 2.0**-53)


def normal_f32(key, hi, i):
    return normal_f64(key, hi, i).astype(np.float32)
