/* runtime.h — the inside of a lorac_runtime, for the layers that draw on it. */
#ifndef BASE_RUNTIME_H
#define BASE_RUNTIME_H

#include "base/memory.h"
#include <lorac/runtime.h>

struct backend;
struct pool;

struct lorac_runtime {
    struct memory memory;
    bool map_files;
    size_t resident_at_start; /* bytes of the process when the runtime was made: code and libraries */
    struct pool *pool;
    struct backend *backend;
    lorac_log_fn log;
    void *log_user;
};

void runtime_log(const struct lorac_runtime *runtime, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
