/* null.c — the backend that computes nothing: it hands out buffers without memory and counts FLOPs.
 *
 * The planner runs a step on it: the regions' high-water marks are then exact, because the same code ran. */
#include "backend/backend.h"

static lorac_status create_buffer(struct backend *b, size_t bytes, struct buffer **buffer, lorac_error *err)
{
    struct buffer *new = mem_alloc(b->memory, sizeof *new);
    if (!new) return fail_memory(err, "a buffer", sizeof *new);
    new->bytes = bytes;
    *buffer = new;
    return LORAC_OK;
}

static lorac_status wrap_buffer(struct backend *b, const void *bytes, size_t size, struct buffer **buffer,
                                lorac_error *err)
{
    return create_buffer(b, size, buffer, err);
}

static void free_buffer(struct backend *b, struct buffer *buffer)
{
    mem_free(b->memory, buffer);
}
static void upload(struct stream *s, struct buf to, const void *from, size_t bytes) {}
static void readback(struct stream *s, void *to, struct buf from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) ((char *)to)[i] = 0;
}
static const void *host_view(struct backend *b, struct buf place)
{
    return NULL;
}
static bool int8_products(const struct backend *b, enum quant_type type)
{
    return false;
}
static void begin(struct stream *s)
{
    s->cancelled = false;
}
static bool wait_end(struct stream *s)
{
    return true;
}
static void destroy(struct backend *b)
{
    mem_free(b->memory, b);
}

static void embed(struct stream *s, struct buf y, const struct qmatrix *table, struct buf ids, size_t rows, float scale,
                  bool accumulate)
{
}
static void matmul(struct stream *s, const struct matmul *a)
{
    s->flops += flops_matmul(a);
}
static void matmul_back(struct stream *s, const struct matmul_back *a)
{
    s->flops += flops_matmul_back(a);
}
static void shrink(struct stream *s, const struct shrink *a)
{
    s->flops += flops_shrink(a, false);
}
static void shrink_back(struct stream *s, const struct shrink *a)
{
    s->flops += flops_shrink(a, true);
}
static void outer(struct stream *s, const struct outer *a)
{
    s->flops += flops_outer(a);
}
static void normalize(struct stream *s, const struct normalize *a) {}
static void normalize_back(struct stream *s, const struct normalize *a) {}
static void scale_columns(struct stream *s, struct buf y, struct buf x, enum number number, struct buf w, struct buf b,
                          size_t rows, size_t width)
{
}
static void rope_table(struct stream *s, struct buf table, struct buf positions, struct buf inverse, size_t rows,
                       size_t rotary, float factor)
{
}
static void rope(struct stream *s, struct buf x, enum number number, size_t ld, struct buf table, size_t rows,
                 size_t heads, size_t head_dim, size_t rotary, bool interleaved, bool inverse)
{
}
static void attention(struct stream *s, const struct attention *a)
{
    s->flops += flops_attention(a, false);
}
static void attention_back(struct stream *s, const struct attention *a)
{
    s->flops += flops_attention(a, true);
}
static void kv_store(struct stream *s, const struct kv_store *a) {}
static void gate(struct stream *s, struct buf y, struct buf in, struct buf up, enum number number, enum activation f,
                 size_t n)
{
}
static void gate_back(struct stream *s, struct buf dgate, struct buf dup, struct buf dy, struct buf in, struct buf up,
                      enum number number, enum activation f, size_t n)
{
}
static void axpy(struct stream *s, struct buf y, enum number y_number, struct buf x, enum number x_number, float scale,
                 size_t n)
{
}
static void clamp(struct stream *s, struct buf y, struct buf x, enum number number, float limit, size_t n) {}
static void clamp_back(struct stream *s, struct buf dx, struct buf dy, struct buf x, enum number number, float limit,
                       size_t n)
{
}
static void soft_cap(struct stream *s, struct buf z, float scale, float cap, size_t n) {}
static void soft_cap_back(struct stream *s, struct buf dz, enum number number, size_t ld, struct buf z, float cap,
                          size_t rows, size_t width)
{
}
static void fill(struct stream *s, struct buf y, enum number number, float value, size_t n) {}
static void dropout(struct stream *s, struct buf y, struct buf x, enum number number, const uint32_t key[2], float p,
                    size_t n, bool accumulate)
{
}
static void copy_rows(struct stream *s, struct buf y, size_t ldy, struct buf x, size_t ldx, enum number number,
                      size_t rows, size_t width)
{
}
static void gather_rows(struct stream *s, struct buf y, struct buf x, enum number number, struct buf index, size_t rows,
                        size_t width)
{
}
static void scatter_rows(struct stream *s, struct buf dx, enum number number, struct buf dy, struct buf index,
                         size_t rows, size_t width)
{
}
static void cross_entropy(struct stream *s, const struct cross_entropy *a) {}
static void sum_squares(struct stream *s, struct buf sums, struct buf x, size_t n) {}
static void adamw(struct stream *s, const struct adamw *a) {}

static const struct backend_kernels kernels = {
    .name = "null",
    .buffer_create = create_buffer,
    .buffer_wrap = wrap_buffer,
    .buffer_free = free_buffer,
    .upload = upload,
    .readback = readback,
    .host_view = host_view,
    .int8_products = int8_products,
    .begin = begin,
    .wait = wait_end,
    .destroy = destroy,
    .embed = embed,
    .matmul = matmul,
    .matmul_back = matmul_back,
    .shrink = shrink,
    .shrink_back = shrink_back,
    .outer = outer,
    .normalize = normalize,
    .normalize_back = normalize_back,
    .scale_columns = scale_columns,
    .rope_table = rope_table,
    .rope = rope,
    .attention = attention,
    .attention_back = attention_back,
    .kv_store = kv_store,
    .gate = gate,
    .gate_back = gate_back,
    .axpy = axpy,
    .clamp = clamp,
    .clamp_back = clamp_back,
    .soft_cap = soft_cap,
    .soft_cap_back = soft_cap_back,
    .fill = fill,
    .dropout = dropout,
    .copy_rows = copy_rows,
    .gather_rows = gather_rows,
    .scatter_rows = scatter_rows,
    .cross_entropy = cross_entropy,
    .sum_squares = sum_squares,
    .adamw = adamw,
};

lorac_status backend_null_create(struct memory *m, struct backend **b, lorac_error *err)
{
    struct backend *new = mem_alloc(m, sizeof *new);
    if (!new) return fail_memory(err, "the planner", sizeof *new);
    *new = (struct backend){&kernels, m, "null"};
    *b = new;
    return LORAC_OK;
}
