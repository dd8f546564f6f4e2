/* rope_frequencies.c — the angles of rotary position embeddings and their scalings to longer contexts. */
#include "model/config.h"

#include <math.h>

static const double tau = 6.283185307179586;

/* Llama 3.1: long wavelengths are divided by the factor, short ones kept, between them a linear blend. */
static double llama3(const struct rope_config *r, double frequency)
{
    double turns = r->original_context * frequency / tau; /* of the original context */
    if (turns > r->high_freq) return frequency;
    if (turns < r->low_freq) return frequency / r->factor;
    double keep = (turns - r->low_freq) / (r->high_freq - r->low_freq);
    return (1 - keep) * frequency / r->factor + keep * frequency;
}

/* The pair whose wavelength makes `turns` turns in the original context. */
static double yarn_pair(const struct rope_config *r, double turns)
{
    return (double)r->dims * log(r->original_context / (turns * tau)) / (2 * log(r->theta));
}

/* YaRN (Peng et al. 2023, arXiv 2309.00071): a ramp over the pairs between interpolation and none. */
static double yarn(const struct rope_config *r, double frequency, size_t pair)
{
    double low = yarn_pair(r, r->beta_fast), high = yarn_pair(r, r->beta_slow);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)r->dims - 1);
    if (low == high) high += 0.001;
    double ramp = fmin(fmax(((double)pair - low) / (high - low), 0), 1);
    return frequency / r->factor * ramp + frequency * (1 - ramp);
}

/* Dynamic NTK: the base grows with the sequence, so that its longest wavelength does. */
static double dynamic_theta(const struct rope_config *r, size_t length)
{
    double dims = (double)r->dims, times = fmax((double)length, r->original_context) / r->original_context;
    return r->theta * pow(r->factor * times - (r->factor - 1), dims / (dims - 2));
}

void rope_frequencies(const struct rope_config *r, size_t length, const float *divisors, float *inverse, float *factor)
{
    double theta = r->scaling == ROPE_DYNAMIC ? dynamic_theta(r, length) : r->theta;
    if (r->scaling == ROPE_LONG) divisors = r->divisors[(double)length > r->original_context];
    for (size_t i = 0; i < r->dims / 2; i++) {
        double frequency = pow(theta, -2.0 * (double)i / (double)r->dims);
        if (r->scaling == ROPE_LINEAR)
            frequency /= r->factor;
        else if (r->scaling == ROPE_LLAMA3)
            frequency = llama3(r, frequency);
        else if (r->scaling == ROPE_YARN)
            frequency = yarn(r, frequency, i);
        inverse[i] = (float)(divisors ? frequency / (double)divisors[i] : frequency);
    }
    *factor = r->scaling == ROPE_YARN || r->scaling == ROPE_LONG ? (float)r->attention_factor : 1;
}
