/* config_json.h — what the files that read a config.json share. */
#ifndef MODEL_CONFIG_JSON_H
#define MODEL_CONFIG_JSON_H

#include "model/family.h"

/* null, false, an empty list or object: keys of that value are as good as absent. */
bool config_says_nothing(const json_t *v);
/* The object that says how modules are quantised; NULL: none does. MLX writes "quantization", others
 * "quantization_config", also below "text_config". */
json_t *config_quantization(const json_t *config);
/* rope[], from theta, part and head_dim that are set. */
lorac_status config_read_rope(const json_t *config, const char *file, struct model_config *c, lorac_error *err);

#endif
