/* beside.h — a folder that is made under another name beside its place and renamed: it is there whole or not at all. */
#ifndef CONVERT_BESIDE_H
#define CONVERT_BESIDE_H

#include "base/os.h"

/* Calls `make` with the name of a folder that is there and empty; what it made takes the place of `out`. */
lorac_status make_beside(struct memory *m, const char *out,
                         lorac_status (*make)(void *user, const char *folder, lorac_error *err), void *user,
                         lorac_error *err);

#endif
