/* signals.c — the program's only signal handler and its only global state. */
#include "signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static volatile sig_atomic_t signals_seen;
static lorac_trainer *_Atomic watched;

static void on_signal(int number)
{
    if (signals_seen++) _exit(130);
    lorac_trainer *trainer = watched;
    if (trainer) lorac_trainer_cancel(trainer);
}

/* Without SA_RESTART: a read from the terminal returns. */
void signals_install(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
    return signals_seen != 0;
}

void interruption_clear(void)
{
    signals_seen = 0;
}

void signals_watch(lorac_trainer *trainer)
{
    watched = trainer;
}
