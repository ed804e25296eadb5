/* weft_scalar.h with weft's own float64 functions, also where it still has those
 * of the C library: those get other names. */
#define weft_exp_f64 weft_given_exp_f64
#define weft_exp2_f64 weft_given_exp2_f64
#define weft_expm1_f64 weft_given_expm1_f64
#define weft_log_f64 weft_given_log_f64
#define weft_log2_f64 weft_given_log2_f64
#define weft_log10_f64 weft_given_log10_f64
#define weft_log1p_f64 weft_given_log1p_f64
#define weft_sin_f64 weft_given_sin_f64
#define weft_cos_f64 weft_given_cos_f64
#define weft_tan_f64 weft_given_tan_f64
#define weft_sinh_f64 weft_given_sinh_f64
#define weft_cosh_f64 weft_given_cosh_f64
#define weft_tanh_f64 weft_given_tanh_f64
#define weft_asin_f64 weft_given_asin_f64
#define weft_acos_f64 weft_given_acos_f64
#define weft_atan_f64 weft_given_atan_f64
#define weft_erf_f64 weft_given_erf_f64
#define weft_erfc_f64 weft_given_erfc_f64
#define weft_sigmoid_f64 weft_given_sigmoid_f64
#define weft_softplus_f64 weft_given_softplus_f64
#define weft_pow_f64 weft_given_pow_f64
#define weft_atan2_f64 weft_given_atan2_f64
#include "weft_scalar.h"
#ifndef WEFT_MATH_F64_H
#undef weft_exp_f64
#undef weft_exp2_f64
#undef weft_expm1_f64
#undef weft_log_f64
#undef weft_log2_f64
#undef weft_log10_f64
#undef weft_log1p_f64
#undef weft_sin_f64
#undef weft_cos_f64
#undef weft_tan_f64
#undef weft_sinh_f64
#undef weft_cosh_f64
#undef weft_tanh_f64
#undef weft_asin_f64
#undef weft_acos_f64
#undef weft_atan_f64
#undef weft_erf_f64
#undef weft_erfc_f64
#undef weft_sigmoid_f64
#undef weft_softplus_f64
#undef weft_pow_f64
#undef weft_atan2_f64
#include "weft_math_f64.h"
#include "weft_math_more_f64.h"
#include "weft_erf_f64.h"
#include "weft_pow_f64.h"
#endif
