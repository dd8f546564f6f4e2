/* trace.c — the CPU backend whose buffers the host cannot touch between submissions.
 *
 * Buffers are pages of their own, closed to reads and writes except between begin and wait of some stream, and
 * inside upload and readback. Code that reads results any other way faults here, long before a device would show it. */
#include "backend/cpu/cpu.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

struct traced {
    struct buffer buffer;
    size_t pages_bytes;
    struct traced *next;
};
struct trace_backend {
    struct cpu_backend cpu;
    struct backend_kernels kernels;
    pthread_mutex_t lock;
    struct traced *buffers;
    int open; /* streams between begin and wait, and uploads and readbacks under way */
};

static struct trace_backend *trace_of(struct backend *b)
{
    return (struct trace_backend *)b;
}

static void set_access(struct trace_backend *t, int protection)
{
    for (struct traced *b = t->buffers; b; b = b->next) mprotect(b->buffer.host, b->pages_bytes, protection);
}

static void open_all(struct backend *b)
{
    struct trace_backend *t = trace_of(b);
    pthread_mutex_lock(&t->lock);
    if (!t->open++) set_access(t, PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&t->lock);
}

static void close_all(struct backend *b)
{
    struct trace_backend *t = trace_of(b);
    pthread_mutex_lock(&t->lock);
    if (!--t->open) set_access(t, PROT_NONE);
    pthread_mutex_unlock(&t->lock);
}

static lorac_status create_buffer(struct backend *b, size_t bytes, struct buffer **buffer, lorac_error *err)
{
    struct trace_backend *t = trace_of(b);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), total;
    struct traced *new = mem_alloc(b->memory, sizeof *new);
    if (!new || !size_add(bytes, page, &total)) {
        mem_free(b->memory, new);
        return fail_memory(err, "a buffer", bytes);
    }
    new->pages_bytes = total / page *page;
    pthread_mutex_lock(&t->lock);
    new->buffer = (struct buffer){bytes, NULL, true};
    new->buffer.host =
        mmap(NULL, new->pages_bytes, t->open ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool mapped = new->buffer.host != MAP_FAILED;
    if (mapped) {
        new->next = t->buffers;
        t->buffers = new;
    }
    pthread_mutex_unlock(&t->lock);
    if (!mapped) {
        mem_free(b->memory, new);
        return fail_memory(err, "a buffer", bytes);
    }
    *buffer = &new->buffer;
    return LORAC_OK;
}

static void free_buffer(struct backend *b, struct buffer *buffer)
{
    struct trace_backend *t = trace_of(b);
    if (!buffer) return;
    if (!buffer->owned) {
        mem_free(b->memory, buffer);
        return;
    }
    struct traced *gone = (struct traced *)buffer;
    pthread_mutex_lock(&t->lock);
    struct traced **link = &t->buffers;
    while (*link != gone) link = &(*link)->next;
    *link = gone->next;
    pthread_mutex_unlock(&t->lock);
    munmap(buffer->host, gone->pages_bytes);
    mem_free(b->memory, gone);
}

static void upload(struct stream *s, struct buf to, const void *from, size_t bytes)
{
    open_all(s->backend);
    cpu_backend_kernels.upload(s, to, from, bytes);
    close_all(s->backend);
}

static void readback(struct stream *s, void *to, struct buf from, size_t bytes)
{
    open_all(s->backend);
    cpu_backend_kernels.readback(s, to, from, bytes);
    close_all(s->backend);
}

static const void *host_view(struct backend *b, struct buf place)
{
    return NULL;
}

static void begin(struct stream *s)
{
    open_all(s->backend);
    cpu_backend_kernels.begin(s);
}

static bool wait_end(struct stream *s)
{
    close_all(s->backend);
    return cpu_backend_kernels.wait(s);
}

static void destroy(struct backend *b)
{
    pthread_mutex_destroy(&trace_of(b)->lock);
    cpu_backend_destroy(b);
}

lorac_status backend_trace_create(struct memory *m, struct pool *pool, const char *isa_cap, struct backend **b,
                                  lorac_error *err)
{
    struct trace_backend *t = mem_alloc(m, sizeof *t);
    if (!t) return fail_memory(err, "the backend", sizeof *t);
    t->kernels = cpu_backend_kernels;
    t->kernels.name = "trace";
    t->kernels.buffer_create = create_buffer;
    t->kernels.buffer_free = free_buffer;
    t->kernels.upload = upload;
    t->kernels.readback = readback;
    t->kernels.host_view = host_view;
    t->kernels.begin = begin;
    t->kernels.wait = wait_end;
    t->kernels.destroy = destroy;
    t->cpu.base.kernels = &t->kernels;
    t->cpu.base.memory = m;
    pthread_mutex_init(&t->lock, NULL);
    lorac_status status = cpu_backend_init(&t->cpu, m, pool, isa_cap, err);
    if (status == LORAC_OK)
        *b = &t->cpu.base;
    else
        destroy(&t->cpu.base);
    return status;
}
