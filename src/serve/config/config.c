#include "serve/config/config.h"
#include "base/sort.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { MOST_BATCH = 1 << 20, MOST_LEVELS = 1024, MOST_INSTANCES = 1024, MOST_PORTS = 1024 };

/* By Triton's number. */
static const int dtypes[] = {SW_DTYPE_NONE, SW_BOOL, SW_U8,  SW_U16, SW_U32, SW_U64,         SW_I8,  SW_I16,
                             SW_I32,        SW_I64,  SW_F16, SW_F32, SW_F64, SW_SERVE_BYTES, SW_BF16};

static int dtype_of(int64_t data_type) {
    return data_type >= 0 && data_type < (int64_t)(sizeof dtypes / sizeof *dtypes) ? dtypes[data_type] : SW_DTYPE_NONE;
}

int sw__config_data_type(int dtype) {
    for (int i = 1; i < (int)(sizeof dtypes / sizeof *dtypes); i++)
        if (dtypes[i] == dtype) return i;
    return 0;
}

static sw_status out_of_memory(const sw__source *source) {
    return sw_fail(source->diag, SW_E_NOMEM, source->where, NULL, "out of memory");
}

static int count(const sw__message *message, const char *name) {
    int n = 0;
    for (const sw__node *node = sw__message_get(message, name); node; node = sw__node_next(node)) n++;
    return n;
}

const char *sw__config_parameter(const sw__config *config, const char *key) {
    for (const sw__node *node = sw__message_get(config->message, "parameters"); node; node = sw__node_next(node))
        if (strcmp(sw__message_text(node->message, "key"), key) == 0)
            return sw__message_text(sw__message_of(node->message, "value"), "string_value");
    return NULL;
}

/* -- Ports ----------------------------------------------------------------------------------------------------------- */

static sw_status read_dims(const sw__source *source, const sw__message *message, const char *name, const sw__node *at,
                           const char *port, int *rank, int64_t *dims) {
    *rank = 0;
    for (const sw__node *node = sw__message_get(message, name); node; node = sw__node_next(node)) {
        if (*rank == SW_MAX_RANK - 1)
            return sw__source_fail(source, node->line, node->column, NULL, "'%s' has more than %d dims", port,
                                   SW_MAX_RANK - 1);
        if (node->i == 0 || node->i < -1)
            return sw__source_fail(source, node->line, node->column, "dims are numbers from 1 on, or -1 for any",
                                   "'%s' has a dim of %" PRId64, port, node->i);
        dims[(*rank)++] = node->i;
    }
    return SW_OK;
}

/* What is -1 on one side is -1 on the other; what is not has as many elements. */
static sw_status check_reshape(const sw__source *source, const sw__node *at, const sw__io *io) {
    int64_t elements[2] = {1, 1};
    int open[2] = {0, 0};
    for (int side = 0; side < 2; side++) {
        int rank = side ? io->inner_rank : io->rank;
        for (int i = 0; i < rank; i++) {
            int64_t dim = side ? io->inner[i] : io->dims[i];
            if (dim < 0)
                open[side]++;
            else if (__builtin_mul_overflow(elements[side], dim, &elements[side]))
                return sw__source_fail(source, at->line, at->column, NULL,
                                       "'%s' has more elements than can be addressed", io->name);
        }
    }
    if (open[0] == open[1] && elements[0] == elements[1]) return SW_OK;
    return sw__source_fail(source, at->line, at->column, "dims and reshape need the same number of elements, and of -1",
                           "'%s' cannot be reshaped", io->name);
}

static sw_status read_port(const sw__source *source, const sw__node *at, bool input, sw__io *io) {
    const sw__message *m = at->message;
    io->name = sw__message_text(m, "name");
    io->dtype = dtype_of(sw__message_int(m, "data_type"));
    io->optional = input && sw__message_bool(m, "optional");
    io->label_filename = input ? "" : sw__message_text(m, "label_filename");
    if (!*io->name) return sw__source_fail(source, at->line, at->column, "add name: \"...\"", "a port has no name");
    if (io->dtype == SW_DTYPE_NONE)
        return sw__source_fail(source, at->line, at->column, "add data_type: TYPE_FP32, or what it is",
                               "'%s' has no data_type", io->name);
    SW_TRY(read_dims(source, m, "dims", at, io->name, &io->rank, io->dims));
    const sw__message *reshape = sw__message_of(m, "reshape");
    if (!reshape) {
        if (io->rank) return SW_OK;
        return sw__source_fail(source, at->line, at->column,
                               "add dims: [ ... ]; for a scalar dims: [ 1 ] and reshape: { shape: [ ] }",
                               "'%s' has no dims", io->name);
    }
    io->reshaped = true;
    SW_TRY(read_dims(source, reshape, "shape", at, io->name, &io->inner_rank, io->inner));
    return check_reshape(source, at, io);
}

static sw_status read_ports(const sw__source *source, const sw__message *message, const char *field,
                            const sw__io **ports, int *n) {
    bool input = strcmp(field, "input") == 0;
    *n = count(message, field);
    if (*n > MOST_PORTS)
        return sw_fail(source->diag, SW_E_LIMIT, source->where, NULL, "more than %d of %s", MOST_PORTS, field);
    sw__io *made = SW_ARENA_ARRAY(source->arena, sw__io, *n + 1);
    if (!made) return out_of_memory(source);
    int i = 0;
    for (const sw__node *node = sw__message_get(message, field); node; node = sw__node_next(node), i++) {
        SW_TRY(read_port(source, node, input, &made[i]));
        for (int j = 0; j < i; j++)
            if (strcmp(made[j].name, made[i].name) == 0)
                return sw__source_fail(source, node->line, node->column, NULL, "%s '%s' comes twice", field,
                                       made[i].name);
    }
    *ports = made;
    return SW_OK;
}

/* -- Batching -------------------------------------------------------------------------------------------------------- */

static void read_policy(const sw__message *message, sw__queue_policy *policy) {
    *policy = (sw__queue_policy){.delay = sw__message_int(message, "timeout_action") == 1,
                                 .allow_override = sw__message_bool(message, "allow_timeout_override"),
                                 .timeout_us = sw__message_int(message, "default_timeout_microseconds"),
                                 .max_size = sw__message_int(message, "max_queue_size")};
}

int sw__config_level(int64_t priority) {
    return priority < MOST_LEVELS ? (int)priority : MOST_LEVELS;
}

static sw_status read_levels(const sw__source *source, const sw__message *m, const sw__node *at,
                             sw__batching *batching) {
    int64_t levels = sw__message_int(m, "priority_levels"), usual = sw__message_int(m, "default_priority_level");
    if (levels && (usual < 1 || usual > levels))
        return sw__source_fail(source, at->line, at->column, "set default_priority_level to the usual one, from 1 on",
                               "default_priority_level %" PRId64 " is not within %" PRId64 " priority_levels", usual,
                               levels);
    batching->priorities = levels ? levels : 1;
    batching->levels = sw__config_level(batching->priorities);
    batching->default_level = levels ? sw__config_level(usual) : 1;
    sw__queue_policy *policies = SW_ARENA_ARRAY(source->arena, sw__queue_policy, batching->levels + 1);
    if (!policies) return out_of_memory(source);
    for (int i = 0; i <= batching->levels; i++) read_policy(sw__message_of(m, "default_queue_policy"), &policies[i]);
    for (const sw__node *node = sw__message_get(m, "priority_queue_policy"); node; node = sw__node_next(node)) {
        int64_t level = sw__message_int(node->message, "key");
        if (level < 1 || level > batching->priorities)
            return sw__source_fail(source, node->line, node->column, NULL,
                                   "priority_queue_policy for level %" PRId64 " of %" PRId64 " priority_levels", level,
                                   batching->priorities);
        read_policy(sw__message_of(node->message, "value"), &policies[sw__config_level(level)]);
    }
    batching->policies = policies;
    return SW_OK;
}

static sw_status read_goal(const sw__source *source, const sw__config *config, sw__batching *batching) {
    const char *goal = sw__config_parameter(config, "slo_p99_ms");
    double ms;
    if (!goal) return SW_OK;
    if (!sw_str_to_f64(goal, strlen(goal), &ms) || !(ms > 0) || ms > 1e6)
        return sw_fail(source->diag, SW_E_MODEL, source->where, "give milliseconds, such as \"20\"",
                       "parameter slo_p99_ms cannot be \"%.40s\"", goal);
    batching->slo_p99_us = (int64_t)(ms * 1000);
    return SW_OK;
}

static sw_status read_batching(const sw__source *source, sw__config *config) {
    sw__batching *batching = &config->batching;
    static const sw__node nowhere;
    const sw__node *at = sw__message_get(config->message, "dynamic_batching");
    const sw__message *m = at ? at->message : NULL;
    batching->on = m != NULL;
    batching->preserve_ordering = sw__message_bool(m, "preserve_ordering");
    batching->delay_us = sw__message_int(m, "max_queue_delay_microseconds");
    batching->n_preferred = m ? count(m, "preferred_batch_size") : 0;
    int64_t *preferred = SW_ARENA_ARRAY(source->arena, int64_t, batching->n_preferred + 1);
    if (!preferred) return out_of_memory(source);
    int i = 0;
    for (const sw__node *node = sw__message_get(m, "preferred_batch_size"); node; node = sw__node_next(node)) {
        if (node->i < 1 || node->i > config->max_batch)
            return sw__source_fail(source, node->line, node->column, NULL,
                                   "dynamic batching preferred size must be from 1 to max_batch_size %d, not %" PRId64,
                                   config->max_batch, node->i);
        preferred[i++] = node->i;
    }
    if (i) qsort(preferred, (size_t)i, sizeof *preferred, sw_by_i64);
    batching->preferred = preferred;
    SW_TRY(read_levels(source, m, at ? at : &nowhere, batching));
    return read_goal(source, config, batching);
}

/* -- The rest -------------------------------------------------------------------------------------------------------- */

static sw_status read_versions(const sw__source *source, sw__config *config) {
    const sw__message *policy = sw__message_of(config->message, "version_policy");
    const sw__message *latest = sw__message_of(policy, "latest"), *specific = sw__message_of(policy, "specific");
    sw__version_policy *versions = &config->versions;
    versions->kind = sw__message_get(policy, "all") ? SW__ALL : specific ? SW__SPECIFIC : SW__LATEST;
    versions->latest = latest && sw__message_int(latest, "num_versions") ? sw__message_int(latest, "num_versions") : 1;
    versions->n = specific ? count(specific, "versions") : 0;
    int64_t *made = SW_ARENA_ARRAY(source->arena, int64_t, versions->n + 1);
    if (!made) return out_of_memory(source);
    int i = 0;
    for (const sw__node *node = sw__message_get(specific, "versions"); node; node = sw__node_next(node))
        made[i++] = node->i;
    versions->versions = made;
    return SW_OK;
}

/* The instances of a group: so many on each of its GPUs, or on the CPU. */
static sw_status add_group(const sw__source *source, const sw__message *m, int64_t n, const char **devices,
                           sw__config *config) {
    bool gpu = sw__message_int(m, "kind") == 1;
    const sw__node *node = sw__message_get(m, "gpus");
    do {
        const char *device = gpu ? sw_arena_printf(source->arena, "cuda:%" PRId64, node ? node->i : (int64_t)0) : NULL;
        if (gpu && !device) return out_of_memory(source);
        if (config->instances + n > MOST_INSTANCES)
            return sw_fail(source->diag, SW_E_LIMIT, source->where, NULL, "more than %d instances", MOST_INSTANCES);
        for (int64_t i = 0; i < n; i++) devices[config->instances++] = device;
        if (!config->device) config->device = device;
        if (node) node = sw__node_next(node);
    } while (node);
    return SW_OK;
}

static sw_status read_instances(const sw__source *source, sw__config *config) {
    const char **devices = SW_ARENA_ARRAY(source->arena, const char *, MOST_INSTANCES);
    if (!devices) return out_of_memory(source);
    for (const sw__node *node = sw__message_get(config->message, "instance_group"); node; node = sw__node_next(node)) {
        const sw__message *m = node->message;
        int64_t n = sw__message_get(m, "count") ? sw__message_int(m, "count") : 1;
        if (sw__message_bool(m, "passive")) continue;
        if (n < 0 || n > MOST_INSTANCES)
            return sw__source_fail(source, node->line, node->column, NULL,
                                   "instance_group count is %" PRId64 ", from 1 to %d", n, MOST_INSTANCES);
        const sw__node *first = sw__message_get(m, "gpus");
        if (first && sw__message_int(m, "kind") != 1)
            return sw__source_fail(source, first->line, first->column, "set kind: KIND_GPU, or remove gpus",
                                   "gpus are listed for a group that is not of KIND_GPU");
        SW_TRY(add_group(source, m, n ? n : 1, devices, config));
    }
    if (!config->instances) config->instances = 1;
    config->devices = devices;
    return SW_OK;
}

static sw_status read_mappings(const sw__source *source, const sw__message *step, const char *field,
                               const sw__mapping **mappings, int *n) {
    *n = count(step, field);
    sw__mapping *made = SW_ARENA_ARRAY(source->arena, sw__mapping, *n + 1);
    if (!made) return out_of_memory(source);
    int i = 0;
    for (const sw__node *node = sw__message_get(step, field); node; node = sw__node_next(node), i++) {
        made[i] = (sw__mapping){sw__message_text(node->message, "key"), sw__message_text(node->message, "value")};
        if (!*made[i].inner || !*made[i].outer)
            return sw__source_fail(source, node->line, node->column,
                                   "give key (the model's port) and value (the ensemble's tensor)",
                                   "an entry of %s is empty", field);
    }
    *mappings = made;
    return SW_OK;
}

static sw_status read_steps(const sw__source *source, sw__config *config) {
    const sw__node *at = sw__message_get(config->message, "ensemble_scheduling");
    if (!at) return SW_OK;
    config->n_steps = count(at->message, "step");
    config->max_inflight = sw__message_int(at->message, "max_inflight_requests");
    sw__ensemble_step *made = SW_ARENA_ARRAY(source->arena, sw__ensemble_step, config->n_steps + 1);
    if (!made) return out_of_memory(source);
    if (!config->n_steps)
        return sw__source_fail(source, at->line, at->column, "add step { model_name: ... }",
                               "an ensemble needs at least one step");
    int i = 0;
    for (const sw__node *node = sw__message_get(at->message, "step"); node; node = sw__node_next(node), i++) {
        made[i].model = sw__message_text(node->message, "model_name");
        const sw__node *version = sw__message_get(node->message, "model_version");
        made[i].version = version && version->i > 0 ? version->i : -1;
        if (!*made[i].model)
            return sw__source_fail(source, node->line, node->column, "add model_name: \"...\"",
                                   "a step names no model");
        SW_TRY(read_mappings(source, node->message, "input_map", &made[i].inputs, &made[i].n_inputs));
        SW_TRY(read_mappings(source, node->message, "output_map", &made[i].outputs, &made[i].n_outputs));
    }
    config->steps = made;
    return SW_OK;
}

static sw_status read_warmup_input(const sw__source *source, const sw__node *at, sw__warmup_input *input) {
    const sw__message *m = sw__message_of(at->message, "value");
    input->name = sw__message_text(at->message, "key");
    input->dtype = dtype_of(sw__message_int(m, "data_type"));
    input->file = sw__message_text(m, "input_data_file");
    input->random = sw__message_bool(m, "random_data");
    if (input->dtype == SW_DTYPE_NONE)
        return sw__source_fail(source, at->line, at->column, "add data_type: TYPE_FP32, or what it is",
                               "warm-up input '%s' has no data_type", input->name);
    SW_TRY(read_dims(source, m, "dims", at, input->name, &input->rank, input->dims));
    for (int i = 0; i < input->rank; i++)
        if (input->dims[i] < 0)
            return sw__source_fail(source, at->line, at->column, "give the numbers to try it with",
                                   "warm-up input '%s' has an open dim", input->name);
    return SW_OK;
}

static sw_status read_warmups(const sw__source *source, sw__config *config) {
    config->n_warmups = count(config->message, "model_warmup");
    sw__warmup *made = SW_ARENA_ARRAY(source->arena, sw__warmup, config->n_warmups + 1);
    if (!made) return out_of_memory(source);
    int i = 0;
    for (const sw__node *node = sw__message_get(config->message, "model_warmup"); node;
         node = sw__node_next(node), i++) {
        const sw__message *m = node->message;
        made[i].name = sw__message_text(m, "name");
        made[i].batch = sw__message_int(m, "batch_size");
        made[i].count = sw__message_int(m, "count");
        if (!made[i].batch) made[i].batch = 1;
        made[i].n_inputs = count(m, "inputs");
        sw__warmup_input *inputs = SW_ARENA_ARRAY(source->arena, sw__warmup_input, made[i].n_inputs + 1);
        if (!inputs) return out_of_memory(source);
        int k = 0;
        for (const sw__node *input = sw__message_get(m, "inputs"); input; input = sw__node_next(input))
            SW_TRY(read_warmup_input(source, input, &inputs[k++]));
        made[i].inputs = inputs;
    }
    config->warmups = made;
    return SW_OK;
}

static sw_status check_whole(const sw__source *source, const sw__config *config) {
    const sw__node nowhere = {0};
    const sw__message *policy = sw__message_of(config->message, "model_transaction_policy");
    const sw__node *decoupled = sw__message_get(policy, "decoupled");
    if (decoupled && decoupled->boolean)
        return sw__source_fail(source, decoupled->line, decoupled->column, "remove it: every request has one response",
                               "decoupled models are not supported");
    bool ensemble = config->n_steps > 0;
    const sw__node *group = sw__message_get(config->message, "instance_group");
    if (ensemble && group)
        return sw__source_fail(source, group->line, group->column, "set it for the models of its steps",
                               "an ensemble has no instance_group");
    if (!ensemble && strcmp(config->platform, "ensemble") == 0)
        return sw__source_fail(source, nowhere.line + 1, 1, "add ensemble_scheduling { step { ... } }",
                               "platform is ensemble, but there is no ensemble_scheduling");
    return SW_OK;
}

sw_status sw__config_read(sw__message *message, const sw__source *source, sw__config *config) {
    *config = (sw__config){.message = message,
                           .name = sw__message_text(message, "name"),
                           .platform = sw__message_text(message, "platform"),
                           .backend = sw__message_text(message, "backend"),
                           .file = sw__message_text(message, "default_model_filename")};
    const sw__node *batch = sw__message_get(message, "max_batch_size");
    if (batch && (batch->i < 0 || batch->i > MOST_BATCH))
        return sw__source_fail(source, batch->line, batch->column, NULL, "max_batch_size is %" PRId64 ", from 0 to %d",
                               batch->i, MOST_BATCH);
    config->max_batch = batch ? (int)batch->i : 0;
    SW_TRY(read_ports(source, message, "input", &config->inputs, &config->n_inputs));
    SW_TRY(read_ports(source, message, "output", &config->outputs, &config->n_outputs));
    SW_TRY(read_batching(source, config));
    config->batching.on &= config->max_batch > 0; /* as Triton; queue policies hold */
    SW_TRY(read_versions(source, config));
    SW_TRY(read_instances(source, config));
    SW_TRY(read_steps(source, config));
    SW_TRY(read_warmups(source, config));
    return check_whole(source, config);
}
