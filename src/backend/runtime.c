/* runtime.c — a runtime: memory, pool and backend under one handle. */
#include "base/runtime.h"
#include "base/os.h"
#include "backend/backend.h"
#include "backend/cpu/measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lorac_runtime_options_init(lorac_runtime_options *options)
{
    *options = (lorac_runtime_options){.struct_size = sizeof *options};
}

static lorac_status create_backend(struct lorac_runtime *r, const lorac_runtime_options *o, lorac_error *err)
{
    const char *cap = o->isa ? o->isa : getenv("LORAC_ISA");
    if (cap && !*cap) cap = NULL;
    if (!o->backend || !strcmp(o->backend, "cpu"))
        return backend_cpu_create(&r->memory, r->pool, cap, &r->backend, err);
    if (!strcmp(o->backend, "trace")) return backend_trace_create(&r->memory, r->pool, cap, &r->backend, err);
    return fail(err, LORAC_INVALID_ARGUMENT, NULL, "there is no backend \"%s\" (known: cpu, trace)", o->backend);
}

lorac_status lorac_runtime_create(const lorac_runtime_options *options, lorac_runtime **runtime, lorac_error *err)
{
    lorac_runtime_options o;
    lorac_runtime_options_init(&o);
    if (options) memcpy(&o, options, options->struct_size < sizeof o ? options->struct_size : sizeof o);
    struct lorac_runtime *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(err, "a runtime", sizeof *r);
    r->memory.limit = o.memory_limit;
    r->resident_at_start = os_resident_bytes();
    r->map_files = !o.no_mmap;
    r->log = o.log;
    r->log_user = o.log_user;
    lorac_status status = pool_create(&r->memory, o.threads > 0 ? o.threads : os_default_threads(), &r->pool, err);
    if (status == LORAC_OK) status = create_backend(r, &o, err);
    if (status == LORAC_OK)
        *runtime = r;
    else
        lorac_runtime_free(r);
    return status;
}

void lorac_runtime_free(lorac_runtime *r)
{
    if (!r) return;
    backend_free(r->backend);
    if (r->pool) pool_free(r->pool);
    free(r);
}

void lorac_runtime_get_info(const lorac_runtime *r, lorac_runtime_info *info)
{
    size_t size = info->struct_size;
    lorac_runtime_info full = {.struct_size = size,
                               .threads = pool_threads(r->pool),
                               .isa = r->backend->isa,
                               .backend = r->backend->kernels->name,
                               .heap_bytes = r->memory.used,
                               .heap_peak_bytes = r->memory.peak,
                               .heap_calls = r->memory.calls};
    memcpy(info, &full, size < sizeof full ? size : sizeof full);
}

void runtime_log(const struct lorac_runtime *r, const char *format, ...)
{
    char line[1024];
    va_list args;
    if (!r->log) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    r->log(r->log_user, line);
}

lorac_status lorac_machine_measure(lorac_runtime *r, lorac_machine *machine, lorac_error *err)
{
    return cpu_measure(r->pool, &r->memory, r->backend->isa, machine, err);
}
