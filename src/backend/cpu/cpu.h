/* cpu.h — the inside of the CPU backend, shared by its drivers and by the trace backend, which is built on it. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

/* Scratch of one pool worker; nothing in it outlives a task. */
struct cpu_scratch {
    void *panel;  /* PANEL_BYTES (strips: STRIP_PANEL_BYTES): unpacked weights; rows of numbers as f32 */
    void *rows;   /* ROWS_BYTES: converted activations */
    float *sums;  /* SUMS_BYTES: of a block of a product */
    void *blocks; /* BLOCKS_BYTES: an attention problem's */
};
enum {
    CPU_PANEL_BYTES = 1 << 19,
    CPU_STRIP_PANEL_BYTES = 1 << 20,
    CPU_ROWS_BYTES = 1 << 19,
    CPU_SUMS_BYTES = 1 << 18,
    CPU_BLOCKS_BYTES = 1 << 20
};

struct cpu_backend {
    struct backend base;
    struct cpu_kernels k;
    struct pool *pool;
    struct cpu_scratch *scratch; /* one per worker */
    int threads;
    double task_flops; /* of an f32 product's task: about 2 ms, so that the pool's 5 ms hold */
};

static inline struct cpu_backend *cpu_of(const struct stream *s)
{
    return (struct cpu_backend *)s->backend;
}
static inline void *cpu_pointer(struct buf b)
{
    return b.buffer ? (char *)b.buffer->host + b.offset : NULL;
}
static inline float *cpu_floats(struct buf b)
{
    return (float *)cpu_pointer(b);
}
static inline struct quant_matrix cpu_matrix_of(const struct qmatrix *w)
{
    struct quant_matrix m = {w->type, cpu_pointer(w->data), w->rows, w->cols, w->row_bytes, {0}};
    const struct qplanes *p = w->planes;
    if (p)
        m.planes = (struct quant_planes){
            cpu_pointer(p->scales), cpu_pointer(p->mins), p->group, p->scale_type, p->factor, cpu_pointer(p->groups)};
    return m;
}

/* Runs the tasks in the pool under the stream's priority; notes a cancellation. */
void cpu_run(struct stream *s, pool_task task, void *context, size_t count);
/* Rows per task so that a task does about `work` elements of `width`-wide rows, and the number of tasks. */
static inline size_t cpu_rows_per_task(size_t rows, size_t width, size_t work)
{
    size_t n = width ? work / width : rows;
    return n < 1 ? 1 : n > rows ? rows : n;
}

lorac_status cpu_backend_init(struct cpu_backend *c, struct memory *m, struct pool *pool, const char *isa_cap,
                              lorac_error *err);
void cpu_backend_destroy(struct backend *b);
extern const struct backend_kernels cpu_backend_kernels;

/* The drivers: products.c, shrink.c, rows*.c, attend.c. */
void cpu_matmul(struct stream *s, const struct matmul *a);
void cpu_matmul_back(struct stream *s, const struct matmul_back *a);
void cpu_shrink(struct stream *s, const struct shrink *a);
void cpu_shrink_back(struct stream *s, const struct shrink *a);
void cpu_outer(struct stream *s, const struct outer *a);
void cpu_embed(struct stream *s, struct buf y, const struct qmatrix *table, struct buf ids, size_t rows, float scale,
               bool accumulate);
void cpu_normalize(struct stream *s, const struct normalize *a);
void cpu_normalize_back(struct stream *s, const struct normalize *a);
void cpu_scale_columns(struct stream *s, struct buf y, struct buf x, enum number number, struct buf w, struct buf b,
                       size_t rows, size_t width);
void cpu_rope_table(struct stream *s, struct buf table, struct buf positions, struct buf inverse, size_t rows,
                    size_t rotary, float factor);
void cpu_rope(struct stream *s, struct buf x, enum number number, size_t ld, struct buf table, size_t rows,
              size_t heads, size_t head_dim, size_t rotary, bool interleaved, bool inverse);
void cpu_attention(struct stream *s, const struct attention *a);
void cpu_attention_back(struct stream *s, const struct attention *a);
void cpu_kv_store(struct stream *s, const struct kv_store *a);
void cpu_gate(struct stream *s, struct buf y, struct buf gate, struct buf up, enum number number, enum activation f,
              size_t n);
void cpu_gate_back(struct stream *s, struct buf dgate, struct buf dup, struct buf dy, struct buf gate, struct buf up,
                   enum number number, enum activation f, size_t n);
void cpu_axpy(struct stream *s, struct buf y, enum number y_number, struct buf x, enum number x_number, float scale,
              size_t n);
void cpu_clamp(struct stream *s, struct buf y, struct buf x, enum number number, float limit, size_t n);
void cpu_clamp_back(struct stream *s, struct buf dx, struct buf dy, struct buf x, enum number number, float limit,
                    size_t n);
void cpu_soft_cap(struct stream *s, struct buf z, float scale, float cap, size_t n);
void cpu_soft_cap_back(struct stream *s, struct buf dz, enum number number, size_t ld, struct buf z, float cap,
                       size_t rows, size_t width);
void cpu_fill(struct stream *s, struct buf y, enum number number, float value, size_t n);
void cpu_dropout(struct stream *s, struct buf y, struct buf x, enum number number, const uint32_t key[2], float p,
                 size_t n, bool accumulate);
void cpu_copy_rows(struct stream *s, struct buf y, size_t ldy, struct buf x, size_t ldx, enum number number,
                   size_t rows, size_t width);
void cpu_gather_rows(struct stream *s, struct buf y, struct buf x, enum number number, struct buf index, size_t rows,
                     size_t width);
void cpu_scatter_rows(struct stream *s, struct buf dx, enum number number, struct buf dy, struct buf index, size_t rows,
                      size_t width);
void cpu_cross_entropy(struct stream *s, const struct cross_entropy *a);
void cpu_sum_squares(struct stream *s, struct buf sums, struct buf x, size_t n);
void cpu_adamw(struct stream *s, const struct adamw *a);

#endif
