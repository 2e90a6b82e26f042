/* The control word of the floating-point unit: see hl_flush_denormals. */
#include "hotloop.h"

#if defined __x86_64__

#include <immintrin.h>

uint64_t hl_flush_denormals(void) {
    enum { results_to_zero = 1 << 15, arguments_to_zero = 1 << 6 };
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | results_to_zero | arguments_to_zero);
    return before;
}

void hl_restore_denormals(uint64_t before) {
    _mm_setcsr((unsigned)before);
}

#elif defined __aarch64__

uint64_t hl_flush_denormals(void) {
    const uint64_t flush_to_zero = UINT64_C(1) << 24;
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" ::"r"(before | flush_to_zero));
    return before;
}

void hl_restore_denormals(uint64_t before) {
    __asm__ volatile("msr fpcr, %0" ::"r"(before));
}

#else

uint64_t hl_flush_denormals(void) {
    return 0;
}

void hl_restore_denormals(uint64_t before) {
    (void)before;
}

#endif
