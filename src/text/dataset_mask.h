/* dataset_mask.h — a chat as token ids, and which of them are targets. */
#ifndef TEXT_DATASET_MASK_H
#define TEXT_DATASET_MASK_H

#include "text/chat.h"
#include <lorac/dataset.h>

struct masked {
    int32_t *ids;  /* lorac_free */
    uint8_t *mask; /* 1 where the id is a target; mem_free */
    size_t count;
};
/* `chat` is an object with "messages", each of which may say "train": false. */
lorac_status mask_chat(struct chat_templates *t, json_t *chat, lorac_train_on train_on, struct masked *result,
                       lorac_error *err);

#endif
