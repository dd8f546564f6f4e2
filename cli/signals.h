/* signals.h — Ctrl-C and SIGTERM: the first asks the running work to stop, the second leaves at once. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <lorac/trainer.h>
#include <stdbool.h>

void signals_install(void);
bool interrupted(void);
void interruption_clear(void);
/* From now on the first signal also cancels this trainer; NULL: none. */
void signals_watch(lorac_trainer *trainer);

#endif
