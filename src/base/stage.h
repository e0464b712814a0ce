/* Output of one or several files, or a folder, that appears whole or not at all: made inside a hidden folder beside its
 * place, moved there on commit. For one file, sw_outfile (os.h) is the simpler way. One thread at a time. */
#ifndef SLIPWAY_BASE_STAGE_H
#define SLIPWAY_BASE_STAGE_H

#include <stdint.h>

#include "slipway/status.h"

typedef struct sw_stage sw_stage;

/* Makes the hidden folder beside `path`, which must not end in a slash. SW_E_IO with a sentence when that cannot be. */
SW_MUST_USE sw_status sw_stage_open(const char *path, const sw_diag *diag, sw_stage **stage);
/* Where to write: the name that `path` ends in, inside the hidden folder. What stands beside it there moves along. */
const char *sw_stage_path(const sw_stage *stage);
/* A sink for whoever writes: messages about the hidden folder come out as messages about `path`. */
const sw_diag *sw_stage_diag(const sw_stage *stage);
/* Bytes of all files there. */
int64_t sw_stage_bytes(const sw_stage *stage);
/* Moves everything into place, `path` last: replaces files of the same name, and a folder that is in its way. Ends the
 * stage, also when it fails. */
SW_MUST_USE sw_status sw_stage_commit(sw_stage *stage);
/* Removes everything; takes NULL. */
void sw_stage_abort(sw_stage *stage);

#endif
