/* pool.c — the thread pool. See pool.h.
 *
 * Owns: the threads, the queue of operations, who may begin the next task. Refuses: nested pool_run, affinity.
 *
 * One mutex guards everything; tasks run outside it. An operation lives on its caller's stack and stands in the
 * queue, sorted by priority and then by arrival, until its last task has begun. A free thread always takes the next
 * task of the queue's head: that alone sets a lower operation aside and resumes it. Callers share one seat, worker
 * number 0, which the caller of the head takes for one task at a time; so a worker number is never used twice at once.
 *
 * While a task of higher priority runs, and for a moment (HOLD) after its operation has ended, no lower task begins: a
 * token is some hundred short operations in a row, and each would find the workers inside long low tasks. Operations of
 * one priority overlap at their ends. */
#include "base/pool.h"
#include "base/os.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

enum { MAX_THREADS = 1024, CACHE_LINE = 64, LOCK_TRIES = 200, PAUSES_PER_CLOCK = 16, CLOCKS_PER_YIELD = 16, WAKES = 2 };
#define SPIN 50e-6 /* seconds that a thread spins for work before it sleeps */
#define HOLD                                                                                                           \
    200e-6 /* seconds after a higher operation's end before a lower one goes on: its caller may have to wake           \
            */

struct operation {
    pool_task task;
    void *context;
    size_t count, next, running; /* tasks in all, begun, begun and not ended */
    enum pool_priority priority;
    const atomic_bool *cancel;
    bool dropped, asleep; /* tasks were dropped; the caller sleeps on `wake` */
    atomic_uint told;     /* grows when the caller should look again */
    pthread_cond_t wake;
    struct operation *behind; /* in the queue */
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    int number; /* 1 .. threads-1 */
};

struct pool {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct operation *queue;
    size_t running[POOL_HIGH + 1];    /* tasks, by priority: while there are any, nothing lower begins */
    double held_until[POOL_HIGH + 1]; /* likewise until then */
    bool seat_taken;                  /* a caller runs a task as worker 0 */
    bool stop;
    size_t asleep; /* workers sleeping on `work` */
    pthread_cond_t work;
    _Alignas(CACHE_LINE) atomic_uint posted; /* grows with every operation: what spinning workers watch */
    _Alignas(CACHE_LINE) struct memory *memory;
    pid_t process; /* that has the threads: not a forked child */
    int threads;
    struct worker *workers; /* (threads - 1) */
};

/* ---- waiting ----------------------------------------------------------------------------- */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The lock is held for some ten nanoseconds: asking again is cheaper than sleeping in the kernel. */
static void take(struct pool *p)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (!pthread_mutex_trylock(&p->lock)) return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
}

static void give(struct pool *p)
{
    pthread_mutex_unlock(&p->lock);
}

/* Until *word is no longer `seen`, at most `seconds`. Yields now and then: where the program has more threads than
 * processors, the one that is waited for may stand behind this one; but a yield takes longer than a short task. */
static void spin(const atomic_uint *word, unsigned seen, double seconds)
{
    double end = os_seconds() + seconds;
    for (unsigned i = 1; atomic_load_explicit(word, memory_order_acquire) == seen; i++) {
        relax();
        if (i % PAUSES_PER_CLOCK) continue;
        if (os_seconds() >= end) return;
        if (i % (PAUSES_PER_CLOCK * CLOCKS_PER_YIELD) == 0) sched_yield();
    }
}

/* ---- the queue (all with the lock held) -------------------------------------------------- */

static bool all_begun(const struct operation *op)
{
    return op->next == op->count;
}
static bool ended(const struct operation *op)
{
    return all_begun(op) && !op->running;
}

static void tell(struct operation *op)
{
    atomic_fetch_add_explicit(&op->told, 1, memory_order_release);
    if (op->asleep) pthread_cond_signal(&op->wake);
}

/* Returns how many sleeping workers op has tasks for, beside its caller. */
static size_t enqueue(struct pool *p, struct operation *op)
{
    struct operation **at = &p->queue;
    while (*at && (*at)->priority >= op->priority) at = &(*at)->behind;
    op->behind = *at;
    *at = op;
    atomic_fetch_add_explicit(&p->posted, 1, memory_order_release);
    size_t wanted = op->count - (p->seat_taken ? 0 : 1);
    return wanted < p->asleep ? wanted : p->asleep;
}

/* Takes the operations out whose cancel flag is set: their remaining tasks never begin. */
static void drop_cancelled(struct pool *p)
{
    for (struct operation **at = &p->queue; *at;) {
        struct operation *op = *at;
        if (!op->cancel || !atomic_load_explicit(op->cancel, memory_order_relaxed)) {
            at = &op->behind;
            continue;
        }
        *at = op->behind;
        op->count = op->next;
        op->dropped = true;
        if (ended(op)) tell(op);
    }
}

static bool held(const struct pool *p, enum pool_priority priority)
{
    for (int higher = priority + 1; higher <= POOL_HIGH; higher++)
        if (p->running[higher] || (p->held_until[higher] > 0 && os_seconds() < p->held_until[higher])) return true;
    return false;
}

/* The operation whose task a free thread takes now, or NULL. */
static struct operation *head(struct pool *p)
{
    drop_cancelled(p);
    return p->queue && !held(p, p->queue->priority) ? p->queue : NULL;
}

/* Runs the next task of op, the queue's head; the lock is given while the task runs. */
static void run_next(struct pool *p, struct operation *op, int worker)
{
    size_t task = op->next++;
    op->running++;
    p->running[op->priority]++;
    if (all_begun(op)) p->queue = op->behind;
    give(p);
    op->task(op->context, task, worker);
    take(p);
    op->running--;
    p->running[op->priority]--;
    if (!ended(op)) return;
    if (op->priority > POOL_LOW) p->held_until[op->priority] = os_seconds() + HOLD;
    tell(op);
}

/* ---- workers ----------------------------------------------------------------------------- */

/* A few, who wake the others in turn: waking one takes longer than many a task. Outside the lock, which the first ones
 * want at once. */
static void wake_workers(struct pool *p, size_t count)
{
    give(p);
    for (size_t i = 0; i < count && i < WAKES; i++) pthread_cond_signal(&p->work);
    take(p);
}

static void wait_for_work(struct pool *p)
{
    unsigned seen = atomic_load_explicit(&p->posted, memory_order_relaxed);
    give(p);
    spin(&p->posted, seen, SPIN);
    take(p);
    if (p->queue || p->stop) return;
    p->asleep++;
    pthread_cond_wait(&p->work, &p->lock);
    p->asleep--;
    size_t left = p->queue ? p->queue->count - p->queue->next : 0;
    if (left > 1) wake_workers(p, left - 1 < p->asleep ? left - 1 : p->asleep);
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct pool *p = w->pool;
    take(p);
    while (!p->stop) {
        struct operation *op = head(p);
        if (!op) {
            wait_for_work(p);
            continue;
        }
        if (!p->seat_taken) tell(op); /* its caller waited for the seat or for the end of a hold */
        run_next(p, op, w->number);
    }
    give(p);
    return NULL;
}

/* ---- callers ----------------------------------------------------------------------------- */

/* Lets the caller of the queue's head know that the seat is free. In a hold it is left alone as long as a worker is
 * awake, which tells it afterwards: it would only spin beside the threads that serve the higher operations. */
static void offer_seat(struct pool *p, const struct operation *own)
{
    struct operation *op = p->queue;
    bool worker_awake = p->asleep + 1 < (size_t)p->threads;
    if (!p->seat_taken && op && op != own && !(worker_awake && held(p, op->priority))) tell(op);
}

static void wait_for_turn(struct pool *p, struct operation *op)
{
    unsigned seen = atomic_load_explicit(&op->told, memory_order_relaxed);
    if (all_begun(op) || p->queue == op) {                    /* its end or its turn is near */
        double seconds = held(p, op->priority) ? HOLD : SPIN; /* a hold ends without a word */
        give(p);
        spin(&op->told, seen, seconds);
        take(p);
        if (!p->seat_taken && p->queue == op && !held(p, op->priority)) return;
    }
    op->asleep = true;
    while (atomic_load_explicit(&op->told, memory_order_relaxed) == seen) pthread_cond_wait(&op->wake, &p->lock);
    op->asleep = false;
}

/* A single task, when nothing stands before it, is run without a word to the workers. */
static bool run_alone(struct pool *p, struct operation *op)
{
    if (op->count != 1 || p->queue || p->seat_taken || held(p, op->priority)) return false;
    if (op->cancel && atomic_load_explicit(op->cancel, memory_order_relaxed)) return false;
    p->queue = op;
    p->seat_taken = true;
    run_next(p, op, 0);
    p->seat_taken = false;
    offer_seat(p, op);
    return true;
}

bool pool_run(struct pool *p, enum pool_priority priority, pool_task task, void *context, size_t count,
              const atomic_bool *cancel)
{
    if (getpid() != p->process) return false;
    if (!count) return true;
    struct operation op = {.task = task,
                           .context = context,
                           .count = count,
                           .priority = priority,
                           .cancel = cancel,
                           .wake = PTHREAD_COND_INITIALIZER};
    take(p);
    if (!run_alone(p, &op)) {
        size_t wake = enqueue(p, &op);
        if (wake) wake_workers(p, wake);
    }
    while (!ended(&op)) {
        if (p->seat_taken || head(p) != &op) {
            if (!ended(&op)) wait_for_turn(p, &op);
            continue;
        }
        p->seat_taken = true;
        run_next(p, &op, 0);
        p->seat_taken = false;
        offer_seat(p, &op);
    }
    offer_seat(p, &op); /* whoever it was offered to may have been this operation, dropped */
    give(p);
    pthread_cond_destroy(&op.wake);
    return !op.dropped;
}

/* ---- life -------------------------------------------------------------------------------- */

/* Starts a worker that takes none of the host program's signals, but for those that a fault of its own raises. */
static int start_worker(struct worker *w)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failure = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

lorac_status pool_create(struct memory *m, int threads, struct pool **pool, lorac_error *err)
{
    if (threads < 1 || threads > MAX_THREADS)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "%d threads: expected 1 to %d", threads, MAX_THREADS);
    struct pool *p = mem_alloc(m, sizeof *p);
    struct worker *workers = mem_array(m, (size_t)threads - 1, sizeof *workers);
    if (!p || !workers) {
        mem_free(m, p);
        mem_free(m, workers);
        return fail_memory(err, "the thread pool", sizeof *p + (size_t)threads * sizeof *workers);
    }
    *p = (struct pool){.memory = m, .process = getpid(), .threads = 1, .workers = workers};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    for (; p->threads < threads; p->threads++) {
        struct worker *w = &workers[p->threads - 1];
        *w = (struct worker){.pool = p, .number = p->threads};
        int failure = start_worker(w);
        if (!failure) continue;
        int started = p->threads;
        pool_free(p);
        return fail(err, LORAC_OUT_OF_MEMORY, NULL, "the system gives %d of %d threads (error %d): ask for fewer",
                    started, threads, failure);
    }
    *pool = p;
    return LORAC_OK;
}

static void stop_workers(struct pool *p)
{
    take(p);
    p->stop = true;
    atomic_fetch_add_explicit(&p->posted, 1, memory_order_release);
    pthread_cond_broadcast(&p->work);
    give(p);
    for (int i = 1; i < p->threads; i++) pthread_join(p->workers[i - 1].thread, NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p) return;
    if (getpid() == p->process) stop_workers(p); /* a forked child has neither the threads nor a sound lock */
    mem_free(p->memory, p->workers);
    mem_free(p->memory, p);
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}
