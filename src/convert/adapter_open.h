/* adapter_open.h — an adapter's file and, where one is named, the outline of its base. */
#ifndef CONVERT_ADAPTER_OPEN_H
#define CONVERT_ADAPTER_OPEN_H

#include "adapter/file.h"
#include "base/runtime.h"
#include "model/outline.h"

/* base: what the file is fitted to, or NULL. */
lorac_status adapter_open(struct memory *m, const char *path, const struct outline *base, struct adapter_file *f,
                          lorac_error *err);
/* A PEFT or mlx-lm name of a family whose modules the two programs call otherwise. */
bool name_needs_base(const char *name);

#endif
