/* embedding.c — rows of a table by id. The table is frozen: there is no backward. */
#include "ops/ops.h"

struct tensor *op_embedding(struct exec *e, const struct qmatrix *table, struct buf ids, size_t rows)
{
    struct tensor *y = exec_tensor(e, rows, table->cols, NUMBER_F32);
    e->k->embed(&e->stream, y->data, table, ids, rows);
    return y;
}
