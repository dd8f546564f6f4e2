/* sampler.c — argmax, and top-p, min-p, top-k, temperature in mlx-lm's order.
 *
 * The filters look at the probabilities at temperature 1:
 *   top-p: a token stays while the mass of strictly likelier ones is below p (Holtzman et al. 2020)
 *   min-p: it stays with at least min_p times the likeliest one's probability (Nguyen et al. 2024)
 * then the draw is from softmax(logprob / temperature) over what stayed. */
#include "infer/sampler.h"

#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

lorac_status sampling_create(struct memory *m, size_t vocab, struct sampling *s, lorac_error *err)
{
    *s = (struct sampling){m, mem_array(m, vocab, sizeof *s->candidates), vocab};
    return s->candidates ? LORAC_OK : fail_memory(err, "the sampler", vocab * sizeof *s->candidates);
}

void sampling_free(struct sampling *s)
{
    if (s->memory) mem_free(s->memory, s->candidates);
    *s = (struct sampling){0};
}

int32_t argmax(const float *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

double log_sum_exp(const float *logits, size_t vocab)
{
    float most = logits[argmax(logits, vocab)];
    double sum = 0;
    for (size_t i = 0; i < vocab; i++) sum += (double)expf(logits[i] - most);
    return (double)most + log(sum);
}

/* ---- filters -------------------------------------------------------------------------------- */

static int likelier_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logprob != y->logprob) return x->logprob > y->logprob ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Candidates at least as likely as the floor, sorted where a filter needs it. */
static size_t gather(struct sampling *s, const float *logits, double lse, double floor, bool sorted)
{
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        float logprob = (float)((double)logits[i] - lse);
        if ((double)logprob >= floor) s->candidates[n++] = (struct candidate){(int32_t)i, logprob};
    }
    if (sorted) qsort(s->candidates, n, sizeof *s->candidates, likelier_first);
    return n;
}

/* How many of the sorted candidates top-p keeps; *complete: more candidates would not change it. */
static size_t top_p(const struct candidate *c, size_t n, double p, bool *complete)
{
    double above = 0, mass = 0; /* of strictly likelier ones; of all so far */
    for (size_t i = 0; i < n; i++) {
        if (!i || c[i].logprob != c[i - 1].logprob) above = mass;
        if (above >= p) {
            *complete = true;
            return i ? i : 1;
        }
        mass += exp((double)c[i].logprob);
    }
    *complete = false;
    return n;
}

/* The kept candidates, in sorted order if any filter sorts. */
static size_t filter(struct sampling *s, const float *logits, double lse, const lorac_sampler *o)
{
    double most = (double)(float)((double)logits[argmax(logits, s->vocab)] - lse); /* rounded as the candidates' */
    double least = o->min_p > 0 ? most + log(o->min_p) : -INFINITY;
    bool cuts = o->top_p > 0 && o->top_p < 1, sorted = cuts || o->top_k, complete = true;
    /* Sorting everything is slow: try with what matters, and only then with all. */
    size_t n = gather(s, logits, lse, sorted ? fmax(least, most - 20) : least, sorted);
    size_t kept = cuts ? top_p(s->candidates, n, o->top_p, &complete) : n;
    if (sorted && (!complete || (o->top_k && kept < o->top_k && !cuts)) && least < most - 20) {
        n = gather(s, logits, lse, least, true);
        kept = cuts ? top_p(s->candidates, n, o->top_p, &complete) : n;
    }
    return o->top_k && o->top_k < kept ? o->top_k : kept;
}

/* ---- the draw ------------------------------------------------------------------------------- */

int32_t sample(struct sampling *s, const float *logits, double lse, const lorac_sampler *o, size_t index)
{
    if (o->temperature == 0) return argmax(logits, s->vocab);
    size_t n = filter(s, logits, lse, o);
    const struct candidate *c = s->candidates;
    double total = 0, most = -INFINITY;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)c[i].logprob);
    for (size_t i = 0; i < n; i++) total += exp(((double)c[i].logprob - most) / o->temperature);
    double point = random_unit(random_key(o->seed, RANDOM_SAMPLE, 0, 0, 0), index) * total;
    for (size_t i = 0; i + 1 < n; i++) {
        point -= exp(((double)c[i].logprob - most) / o->temperature);
        if (point < 0) return c[i].id;
    }
    return n ? c[n - 1].id : argmax(logits, s->vocab);
}

void likeliest(const float *logits, size_t vocab, double lse, lorac_token_logprob *top, size_t count)
{
    size_t n = 0;
    if (!count) return;
    for (size_t i = 0; i < vocab; i++) { /* ids ascend, so an equal one later stands behind */
        if (n == count && !(logits[i] > top[n - 1].logprob)) continue;
        size_t at = n < count ? n++ : count - 1;
        for (; at && logits[i] > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (lorac_token_logprob){(int32_t)i, logits[i]};
    }
    for (size_t i = 0; i < n; i++) top[i].logprob = (float)((double)top[i].logprob - lse);
}

/* ---- public --------------------------------------------------------------------------------- */

void lorac_sampler_init(lorac_sampler *sampler)
{
    *sampler = (lorac_sampler){.struct_size = sizeof *sampler, .top_p = 1};
}

lorac_status sampler_check(const lorac_sampler *o, lorac_error *err)
{
    if (!(o->temperature >= 0) || !isfinite(o->temperature))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the temperature must be 0 or more, not %g", o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "top-p must be above 0 and at most 1, not %g", o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "min-p must be from 0 to 1, not %g", o->min_p);
    return LORAC_OK;
}

lorac_status lorac_sample(const lorac_model *model, const float *logits, const lorac_sampler *sampler, size_t index,
                          int32_t *id, lorac_error *err)
{
    struct sampling s;
    TRY(sampler_check(sampler, err));
    TRY(sampling_create(&model->runtime->memory, model->config.vocab, &s, err));
    *id = sample(&s, logits, log_sum_exp(logits, s.vocab), sampler, index);
    sampling_free(&s);
    return LORAC_OK;
}

lorac_status lorac_logprobs(const lorac_model *model, const float *logits, int32_t id, float *of,
                            lorac_token_logprob *top, size_t count, lorac_error *err)
{
    size_t vocab = model->config.vocab;
    if (id < 0 || (size_t)id >= vocab)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "token %d is not in the vocabulary", id);
    if (count > vocab)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "%zu alternatives of a vocabulary of %zu", count, vocab);
    double lse = log_sum_exp(logits, vocab);
    *of = (float)((double)logits[id] - lse);
    likeliest(logits, vocab, lse, top, count);
    return LORAC_OK;
}
