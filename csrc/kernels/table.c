/* The kernels of one instruction set: compiled once for each, with HL_ISA = baseline, avx2,
 * avx512 or neon and the compiler flags that go with it. */
#include "hotloop.h"
#include "runtime/random_bits.h"
#include "source.h"

#include <float.h>
#include <math.h>
#include <string.h>
#if defined __x86_64__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

#include "names.h"

#define HL_INLINE inline __attribute__((always_inline, unused))
/* What few programs use, and in those it is little of the time: in one copy, and compiled for size. */
#define HL_RARE __attribute__((noinline, cold, unused))
#ifdef __clang__
#define HL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define HL_UNROLL _Pragma("GCC unroll 16")
#endif

/* Vector width, and how many vector registers a matrix-product tile may count on. */
#if defined __AVX512F__
#define HL_VECTOR_BYTES 64
#define HL_REGISTERS 32
#elif defined __AVX2__
#define HL_VECTOR_BYTES 32
#define HL_REGISTERS 16
#elif defined __aarch64__
#define HL_VECTOR_BYTES 16
#define HL_REGISTERS 32
#else
#define HL_VECTOR_BYTES 16
#define HL_REGISTERS 16
#endif

#define HL_CAST(x) ((T)(x))

#define HL_STRING_(x) #x
#define HL_STRING(x) HL_STRING_(x)
#define HL_TABLE_(isa, suffix) hl_kernels_##isa##_##suffix
#define HL_TABLE(isa, suffix) HL_TABLE_(isa, suffix)

#define T float
#define T_INT int32_t
#define T_UINT uint32_t
#define T_BITS 32
#define T_SUFFIX f32
#include "kernels.h"

#undef T
#undef T_INT
#undef T_UINT
#undef T_BITS
#undef T_SUFFIX

#define T double
#define T_INT int64_t
#define T_UINT uint64_t
#define T_BITS 64
#define T_SUFFIX f64
#include "kernels.h"
