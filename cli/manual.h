/* manual.h — lorac.1 from the option tables. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "options.h"

/* The manual page in mdoc(7). docs/lorac.1 is this, and a test compares them. */
void manual_print(FILE *out, const struct command *const *table);

#endif
