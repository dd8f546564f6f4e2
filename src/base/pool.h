/* pool.h — the thread pool: one operation runs at a time, cut into tasks of at most 5 ms.
 *
 * Submitters queue by priority. Between two tasks a worker looks whether a submitter of higher priority
 * waits (the lower operation is then set aside until it ended, and 200 us longer, in case another one follows) and
 * whether the operation was cancelled. The caller works too, so `threads` counts it. Workers spin at most 50 us for
 * new work, then sleep.
 * Tasks must not call pool_run. After fork() the child's pool_run returns false at once. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/memory.h"

struct pool;
enum pool_priority { POOL_LOW, POOL_NORMAL, POOL_HIGH };
typedef void (*pool_task)(void *context, size_t task, int worker); /* worker: 0 .. threads-1, unique while it runs */

lorac_status pool_create(struct memory *m, int threads, struct pool **pool, lorac_error *err);
void pool_free(struct pool *pool);
int pool_threads(const struct pool *pool);

/* Runs task(context, 0 .. count-1, worker) once each, in any order; returns when all have ended.
 * false: cancelled (*cancel was seen true; tasks not begun are dropped) or the process was forked.
 * Makes no heap call. Any number of threads may call at once. */
bool pool_run(struct pool *pool, enum pool_priority priority, pool_task task, void *context, size_t count,
              const atomic_bool *cancel);

#endif
