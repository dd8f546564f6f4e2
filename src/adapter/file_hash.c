/* file_hash.c — the name of an adapter's content. See file.h. */
#include "adapter/file.h"

#include <string.h>

static void add_matrix(struct hash *h, const struct matrix *m)
{
    float row[256];
    size_t n = 0;
    if (!m->data) return;
    if (m->dtype == ST_F32 && !m->transposed) {
        hash_add(h, m->data, m->rows * m->cols * sizeof(float));
        return;
    }
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++) {
            row[n++] = matrix_at(m, r, c);
            if (n == 256) hash_add(h, row, sizeof row), n = 0;
        }
    hash_add(h, row, n * sizeof *row);
}

lorac_status file_hash(const struct adapter_file *f, uint8_t digest[HASH_BYTES], lorac_error *err)
{
    struct hash h;
    TRY(hash_begin(&h, err));
    for (size_t i = 0; i < f->modules.count; i++) {
        const struct file_module *m = &file_modules(f)[i];
        uint64_t shape[3] = {m->a.rows, m->a.cols, m->b.rows};
        float scale = (float)m->scale; /* as it is multiplied with, however a config wrote it */
        hash_add(&h, m->name, strlen(m->name) + 1);
        hash_add(&h, shape, sizeof shape);
        hash_add(&h, &scale, sizeof scale);
        add_matrix(&h, &m->a);
        add_matrix(&h, &m->b);
        add_matrix(&h, &m->magnitude);
        add_matrix(&h, &m->bias);
    }
    for (size_t i = 0; i < f->whole_count; i++) {
        hash_add(&h, f->whole[i].name, strlen(f->whole[i].name) + 1);
        hash_add(&h, &f->whole[i].dtype, sizeof f->whole[i].dtype);
        hash_add(&h, f->whole[i].data, f->whole[i].bytes);
    }
    hash_end(&h, digest);
    return LORAC_OK;
}
