/* weft_parts.h: how routines hold the values of each dtype. A routine of weft_products.h, weft_running.h, weft_sparse.h or weft_places.h
 * is a macro F(D, T, H, LOAD, STORE, ADD, MULADD, DOT): a value of T is held and summed in H. WEFT_LIB_OF_f32(F) defines
 * those of float32; a program is linked with the parts that it calls (compiler/build/library.py).
 */
#ifndef WEFT_PARTS_H
#define WEFT_PARTS_H
#include "weft_gemm.h"
#include "weft_library.h"

enum { WEFT_LIB_TILE = 64, WEFT_LIB_UNIT = 16 };

/* CALL with the width of a tile last: the usual ones known to the compiler */
#define WEFT_LIB_WIDTH(W, CALL, ...)                                \
  if (W == WEFT_LIB_TILE) CALL(__VA_ARGS__, WEFT_LIB_TILE);         \
  else if (W == 1) CALL(__VA_ARGS__, 1);                            \
  else CALL(__VA_ARGS__, W);

#define WEFT_LIB_PLAIN(F, D, T, MULADD) F(D, T, T, WEFT_PLAIN_LOAD, WEFT_PLAIN_STORE, weft_add_##D, MULADD, weft_dot_##D)
#define WEFT_LIB_HALF(F, D) \
  F(D, uint16_t, float, weft_load_##D, weft_store_##D, weft_add_f32, weft_fma_f32, weft_dot_held_##D)
#define WEFT_LIB_OF_b(F) WEFT_LIB_PLAIN(F, b, uint8_t, weft_muladd_b)
#define WEFT_LIB_OF_i8(F) WEFT_LIB_PLAIN(F, i8, int8_t, weft_muladd_i8)
#define WEFT_LIB_OF_i16(F) WEFT_LIB_PLAIN(F, i16, int16_t, weft_muladd_i16)
#define WEFT_LIB_OF_i32(F) WEFT_LIB_PLAIN(F, i32, int32_t, weft_muladd_i32)
#define WEFT_LIB_OF_i64(F) WEFT_LIB_PLAIN(F, i64, int64_t, weft_muladd_i64)
#define WEFT_LIB_OF_u8(F) WEFT_LIB_PLAIN(F, u8, uint8_t, weft_muladd_u8)
#define WEFT_LIB_OF_u16(F) WEFT_LIB_PLAIN(F, u16, uint16_t, weft_muladd_u16)
#define WEFT_LIB_OF_u32(F) WEFT_LIB_PLAIN(F, u32, uint32_t, weft_muladd_u32)
#define WEFT_LIB_OF_u64(F) WEFT_LIB_PLAIN(F, u64, uint64_t, weft_muladd_u64)
#define WEFT_LIB_OF_c64(F) WEFT_LIB_PLAIN(F, c64, weft_c64, weft_muladd_c64)
#define WEFT_LIB_OF_c128(F) WEFT_LIB_PLAIN(F, c128, weft_c128, weft_muladd_c128)
#define WEFT_LIB_OF_f32(F) WEFT_LIB_PLAIN(F, f32, float, weft_fma_f32)
#define WEFT_LIB_OF_f64(F) WEFT_LIB_PLAIN(F, f64, double, weft_fma_f64)
#define WEFT_LIB_OF_f16(F) WEFT_LIB_HALF(F, f16)
#define WEFT_LIB_OF_bf16(F) WEFT_LIB_HALF(F, bf16)
#endif
