/* plot.h — the loss curve as a picture. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include <jansson.h>
#include <stdbool.h>

/* Draws the "train" and "valid" events of a run. Whole or not at all; on failure `why` (size bytes) says why. */
bool plot_write(const char *path, const json_t *events, const char *title, char *why, size_t size);

#endif
