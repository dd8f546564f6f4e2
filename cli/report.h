/* report.h — what a training run tells: JSON lines, train.jsonl, the progress line and the plot. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "terminal.h"
#include <jansson.h>
#include <lorac/trainer.h>

struct report {
    bool json;
    struct terminal terminal;
    FILE *log;       /* ADAPTER_PATH/train.jsonl */
    bool log_failed; /* said once */
    json_t *events;  /* every line of the log, for the plot */
    double start;    /* when training began, in seconds_now() */
    double loss;     /* smoothed */
    size_t first_iteration;
    double peak_flops; /* measured; 0: not */
};

/* Opens folder/train.jsonl: anew, or with `resumed` without the lines behind that iteration. 0 or an exit status. */
int report_open(struct report *r, const char *folder, bool json, bool resume, size_t resumed);
void report_close(struct report *r);

void report_plan(struct report *r, const lorac_trainer *trainer);
/* Shows the event; 1 when the run is to stop. A lorac_event_fn. */
int report_event(void *report, const lorac_event *event);
void report_test(struct report *r, const lorac_evaluation *result);
void report_done(struct report *r, const lorac_train_result *result, const char *folder);

#endif
