/* order.c — which rows an iteration takes: each epoch a permutation of its own, from the seed alone. */
#include "train/trainer.h"

#include "base/random.h"

static size_t row_count(const struct lorac_trainer *t)
{
    return t->train->starts.count - 1;
}

size_t order_batches(const struct lorac_trainer *t)
{
    return (row_count(t) + t->options.batch_size - 1) / t->options.batch_size;
}

size_t order_batch(struct lorac_trainer *t, size_t iteration, size_t *rows)
{
    size_t batches = order_batches(t), epoch = iteration / batches, first = iteration % batches * t->options.batch_size;
    if (epoch != t->order_epoch) {
        random_permutation(random_key(t->options.seed, RANDOM_SHUFFLE, epoch, 0, 0), t->order, row_count(t));
        t->order_epoch = epoch;
    }
    size_t n = 0;
    while (n < t->options.batch_size && first + n < row_count(t)) {
        rows[n] = t->order[first + n];
        n++;
    }
    return n;
}
