/* schedule.c — the learning rate of an optimiser step, as mlx-lm joins warm-up and decay.
 *
 * With W warm-up steps, peak L and S steps in all: s ≤ W: L·s/W. After it, with t = s − (W + 1) (t = s without a
 * warm-up) and D = S − W: linear L·(1 − min(t, D)/D); cosine L/2·(1 + cos(π·min(t, D)/D)); constant L. */
#include "train/trainer.h"

#include <math.h>

double schedule_rate(const lorac_trainer_options *o, size_t s, size_t steps)
{
    double peak = o->learning_rate;
    if (o->warmup && s <= o->warmup) return peak * (double)s / (double)o->warmup;
    double length = steps > o->warmup ? (double)(steps - o->warmup) : 1;
    double done = fmin((double)(o->warmup ? s - (o->warmup + 1) : s), length) / length;
    if (o->schedule == LORAC_LINEAR) return peak * (1 - done);
    if (o->schedule == LORAC_COSINE) return peak / 2 * (1 + cos(3.14159265358979323846 * done));
    return peak;
}
