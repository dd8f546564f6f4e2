/* unpack_planes_avx512.c — unpack_planes.h. */
#include "backend/cpu/unpack_planes.h"

void unpack_planes_avx512(struct cpu_kernels *t)
{
    fill_unpack(t);
}
