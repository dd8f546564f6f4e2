/* json_score.h — numbers as the reference reads them from a tokenizer.json.
 *
 * Its JSON reader takes the digits as one integer and divides by a power of ten, which can miss the nearest double by a
 * unit in the last place. Scores decide between cuts of nearly equal sums, so lorac rounds as it does. */
#ifndef TEXT_JSON_SCORE_H
#define TEXT_JSON_SCORE_H

#include <stdbool.h>
#include <stddef.h>

/* digits: a JSON number. False: too large for a double. */
bool json_score_read(const char *digits, size_t length, double *value);

#endif
