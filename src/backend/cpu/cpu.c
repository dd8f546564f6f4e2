/* cpu.c — the CPU backend: memory, streams, and the table of its drivers. */
#include "backend/cpu/cpu.h"

#include <string.h>

/* ---- buffers ------------------------------------------------------------------------------- */

static lorac_status create_buffer(struct backend *b, size_t bytes, struct buffer **buffer, lorac_error *err)
{
    struct buffer *new = mem_alloc(b->memory, sizeof *new);
    if (new) new->host = mem_alloc(b->memory, bytes);
    if (!new || !new->host) {
        mem_free(b->memory, new);
        return fail_memory(err, "a buffer", bytes);
    }
    new->bytes = bytes;
    new->owned = true;
    *buffer = new;
    return LORAC_OK;
}

static lorac_status wrap_buffer(struct backend *b, const void *bytes, size_t size, struct buffer **buffer,
                                lorac_error *err)
{
    struct buffer *new = mem_alloc(b->memory, sizeof *new);
    if (!new) return fail_memory(err, "a buffer", sizeof *new);
    *new = (struct buffer){.bytes = size, .host = (void *)(uintptr_t)bytes};
    *buffer = new;
    return LORAC_OK;
}

static void free_buffer(struct backend *b, struct buffer *buffer)
{
    if (!buffer) return;
    if (buffer->owned) mem_free(b->memory, buffer->host);
    mem_free(b->memory, buffer);
}

static void upload(struct stream *s, struct buf to, const void *from, size_t bytes)
{
    memcpy(cpu_pointer(to), from, bytes);
}

static void readback(struct stream *s, void *to, struct buf from, size_t bytes)
{
    memcpy(to, cpu_pointer(from), bytes);
}

static const void *host_view(struct backend *b, struct buf place)
{
    return cpu_pointer(place);
}

static bool int8_products(const struct backend *b, enum quant_type type)
{
    const struct cpu_kernels *k = &((const struct cpu_backend *)b)->k;
    return k->q8_record && k->pack_q8[type];
}

/* ---- streams ------------------------------------------------------------------------------- */

static void begin(struct stream *s)
{
    s->cancelled = false;
}
static bool wait_end(struct stream *s)
{
    return !s->cancelled;
}

void cpu_run(struct stream *s, pool_task task, void *context, size_t count)
{
    if (s->cancelled || !count) return;
    if (!pool_run(cpu_of(s)->pool, s->priority, task, context, count, s->cancel)) s->cancelled = true;
}

/* ---- life ---------------------------------------------------------------------------------- */

void cpu_backend_destroy(struct backend *b)
{
    struct cpu_backend *c = (struct cpu_backend *)b;
    for (int i = 0; c->scratch && i < c->threads; i++) {
        mem_free(b->memory, c->scratch[i].panel);
        mem_free(b->memory, c->scratch[i].rows);
        mem_free(b->memory, c->scratch[i].sums);
        mem_free(b->memory, c->scratch[i].blocks);
    }
    mem_free(b->memory, c->scratch);
    mem_free(b->memory, c);
}

lorac_status cpu_backend_init(struct cpu_backend *c, struct memory *m, struct pool *pool, const char *isa_cap,
                              lorac_error *err)
{
    c->pool = pool;
    c->threads = pool_threads(pool);
    if (!cpu_kernels_choose(isa_cap, &c->k))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "this CPU has no instruction set level \"%s\" (levels: scalar, avx2, avx512, avx512bf16, amx)",
                    isa_cap);
    c->base.memory = m;
    c->base.isa = c->k.isa;
    c->task_flops = strcmp(c->k.isa, "scalar") ? 200e6 : 5e6;
    c->scratch = mem_array(m, (size_t)c->threads, sizeof *c->scratch);
    for (int i = 0; c->scratch && i < c->threads; i++) {
        c->scratch[i].panel = mem_alloc(m, c->k.strip_bf16 ? CPU_STRIP_PANEL_BYTES : CPU_PANEL_BYTES);
        c->scratch[i].rows = mem_alloc(m, CPU_ROWS_BYTES);
        c->scratch[i].sums = mem_alloc(m, CPU_SUMS_BYTES);
        c->scratch[i].blocks = mem_alloc(m, CPU_BLOCKS_BYTES);
        if (!c->scratch[i].panel || !c->scratch[i].rows || !c->scratch[i].sums || !c->scratch[i].blocks)
            return fail_memory(err, "scratch", CPU_PANEL_BYTES);
    }
    return c->scratch ? LORAC_OK : fail_memory(err, "scratch", 0);
}

lorac_status backend_cpu_create(struct memory *m, struct pool *pool, const char *isa_cap, struct backend **b,
                                lorac_error *err)
{
    struct cpu_backend *c = mem_alloc(m, sizeof *c);
    if (!c) return fail_memory(err, "the backend", sizeof *c);
    c->base.kernels = &cpu_backend_kernels;
    c->base.memory = m;
    lorac_status status = cpu_backend_init(c, m, pool, isa_cap, err);
    if (status == LORAC_OK)
        *b = &c->base;
    else
        cpu_backend_destroy(&c->base);
    return status;
}

void backend_free(struct backend *b)
{
    if (b) b->kernels->destroy(b);
}

const struct backend_kernels cpu_backend_kernels = {
    .name = "cpu",
    .buffer_create = create_buffer,
    .buffer_wrap = wrap_buffer,
    .buffer_free = free_buffer,
    .upload = upload,
    .readback = readback,
    .host_view = host_view,
    .int8_products = int8_products,
    .begin = begin,
    .wait = wait_end,
    .destroy = cpu_backend_destroy,
    .embed = cpu_embed,
    .matmul = cpu_matmul,
    .matmul_back = cpu_matmul_back,
    .shrink = cpu_shrink,
    .shrink_back = cpu_shrink_back,
    .outer = cpu_outer,
    .normalize = cpu_normalize,
    .normalize_back = cpu_normalize_back,
    .scale_columns = cpu_scale_columns,
    .rope_table = cpu_rope_table,
    .rope = cpu_rope,
    .attention = cpu_attention,
    .attention_back = cpu_attention_back,
    .kv_store = cpu_kv_store,
    .gate = cpu_gate,
    .gate_back = cpu_gate_back,
    .axpy = cpu_axpy,
    .clamp = cpu_clamp,
    .clamp_back = cpu_clamp_back,
    .soft_cap = cpu_soft_cap,
    .soft_cap_back = cpu_soft_cap_back,
    .fill = cpu_fill,
    .dropout = cpu_dropout,
    .copy_rows = cpu_copy_rows,
    .gather_rows = cpu_gather_rows,
    .scatter_rows = cpu_scatter_rows,
    .cross_entropy = cpu_cross_entropy,
    .sum_squares = cpu_sum_squares,
    .adamw = cpu_adamw,
};
