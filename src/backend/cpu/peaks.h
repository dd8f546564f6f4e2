/* peaks.h — bare loops that find what one core can do at most: no memory, no dependence between neighbours.
 * Every loop over the chains is unrolled: one that stays a loop keeps them in memory.
 *
 * Each runs `rounds` rounds and returns the operations done (2 per multiply-add). NULL: the ISA has no such
 * instruction. */
#ifndef CPU_PEAKS_H
#define CPU_PEAKS_H

#include <stddef.h>
#include <stdint.h>

struct cpu_peaks {
    double (*f32)(size_t rounds, float *sink);
    double (*bf16)(size_t rounds, float *sink);
    double (*int8)(size_t rounds, float *sink);
    /* Reads the block once; what it found goes to *sink, so that nothing is left out. */
    void (*read)(const uint8_t *block, size_t bytes, uint64_t *sink);
};

void peaks_scalar(struct cpu_peaks *p);
#if LORAC_X86
void peaks_avx2(struct cpu_peaks *p);
void peaks_avxvnni(struct cpu_peaks *p);
void peaks_avx512(struct cpu_peaks *p);
void peaks_avx512bf16(struct cpu_peaks *p);
void peaks_amx(struct cpu_peaks *p);
#endif

#endif
