/* unpack_planes_avx2.c — unpack_planes.h. */
#include "backend/cpu/unpack_planes.h"

void unpack_planes_avx2(struct cpu_kernels *t)
{
    fill_unpack(t);
}
