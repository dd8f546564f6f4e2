/* measure.h — the machine's limits, measured on all threads of a pool. */
#ifndef CPU_MEASURE_H
#define CPU_MEASURE_H

#include "base/pool.h"
#include <lorac/runtime.h>

/* isa: the level whose instructions are measured. About 2 s. */
lorac_status cpu_measure(struct pool *pool, struct memory *m, const char *isa, lorac_machine *machine,
                         lorac_error *err);

#endif
