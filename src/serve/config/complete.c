/* Configuration and model: what one leaves open the other fills in; where they disagree, a sentence. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/config/config.h"

static sw_status out_of_memory(const sw__source *source) {
    return sw_fail(source->diag, SW_E_NOMEM, source->where, NULL, "out of memory");
}

static sw_status set_text(const sw__source *source, sw__message *message, const char *field, const char *text) {
    sw__node *node = sw__message_add(source->arena, message, field);
    if (!node || !(node->text = sw_arena_strdup(source->arena, text))) return out_of_memory(source);
    return SW_OK;
}

static sw_status set_int(const sw__source *source, sw__message *message, const char *field, int64_t value) {
    sw__node *node = sw__message_add(source->arena, message, field);
    if (!node) return out_of_memory(source);
    node->i = value;
    return SW_OK;
}

static sw_status set_message(const sw__source *source, sw__message *message, const char *field, sw__message **inner) {
    sw__node *node = sw__message_add(source->arena, message, field);
    if (!node) return out_of_memory(source);
    *inner = node->message;
    return SW_OK;
}

/* The ports of the model; without their first dim when they are batched. */
static sw_status add_ports(const sw__source *source, sw__message *message, const char *field,
                           const sw_serve_port *ports, int n, bool batched) {
    for (int i = 0; i < n; i++) {
        sw__message *port, *reshape;
        SW_TRY(set_message(source, message, field, &port));
        SW_TRY(set_text(source, port, "name", ports[i].name));
        SW_TRY(set_int(source, port, "data_type", sw__config_data_type(ports[i].dtype)));
        if (ports[i].optional) {
            sw__node *node = sw__message_add(source->arena, port, "optional");
            if (!node) return out_of_memory(source);
            node->boolean = true;
        }
        for (int d = batched; d < ports[i].rank; d++) SW_TRY(set_int(source, port, "dims", ports[i].dims[d]));
        if (ports[i].rank == batched) { /* no dims: one element */
            SW_TRY(set_int(source, port, "dims", 1));
            SW_TRY(set_message(source, port, "reshape", &reshape));
        }
    }
    return SW_OK;
}

static sw_status complete_ports(const sw__source *source, sw__message *message, const sw_serve_nature *nature,
                                int default_batch) {
    const sw__node *batch = sw__message_get(message, "max_batch_size");
    sw__message *inner;
    bool ports = nature->n_inputs || nature->n_outputs;
    bool batched = batch ? batch->i > 0 : ports && nature->batchable && default_batch > 0;
    /* Ports with as many dims as the model's name the batch themselves. */
    const sw__node *input = sw__message_get(message, "input");
    if (!batch && batched && input) {
        int rank = 0;
        for (const sw__node *dim = sw__message_get(input->message, "dims"); dim; dim = sw__node_next(dim)) rank++;
        for (int i = 0; i < nature->n_inputs; i++)
            if (strcmp(nature->inputs[i].name, sw__message_text(input->message, "name")) == 0)
                batched &= rank == nature->inputs[i].rank - 1;
    }
    if (!batch && batched) SW_TRY(set_int(source, message, "max_batch_size", default_batch));
    if (!input) SW_TRY(add_ports(source, message, "input", nature->inputs, nature->n_inputs, batched));
    if (!sw__message_get(message, "output"))
        SW_TRY(add_ports(source, message, "output", nature->outputs, nature->n_outputs, batched));
    bool scheduled = sw__message_get(message, "dynamic_batching") || sw__message_get(message, "sequence_batching") ||
                     sw__message_get(message, "ensemble_scheduling");
    if (sw__message_int(message, "max_batch_size") > 1 && !scheduled && ports)
        SW_TRY(set_message(source, message, "dynamic_batching", &inner));
    return SW_OK;
}

static sw_status complete_group(const sw__source *source, sw__message *message, const char *name) {
    sw__message *group;
    if (!sw__message_get(message, "instance_group")) SW_TRY(set_message(source, message, "instance_group", &group));
    int number = 0;
    for (const sw__node *node = sw__message_get(message, "instance_group"); node;
         node = sw__node_next(node), number++) {
        char text[300];
        snprintf(text, sizeof text, number ? "%.250s_%d" : "%.250s", name, number);
        if (!*sw__message_text(node->message, "name")) {
            sw__message_clear(node->message, "name");
            SW_TRY(set_text(source, node->message, "name", text));
        }
        if (sw__message_int(node->message, "count") < 1) {
            sw__message_clear(node->message, "count");
            SW_TRY(set_int(source, node->message, "count", 1));
        }
        if (sw__message_int(node->message, "kind") == 0) { /* KIND_AUTO: the CPU */
            sw__message_clear(node->message, "kind");
            SW_TRY(set_int(source, node->message, "kind", 2));
        }
    }
    return SW_OK;
}

/* Empty when it was not there. */
static sw_status complete_message(const sw__source *source, sw__message *message, const char *field) {
    sw__message *inner;
    return sw__message_get(message, field) ? SW_OK : set_message(source, message, field, &inner);
}

sw_status sw__config_complete(sw__message *message, const sw__source *source, const char *name,
                              const sw_serve_backend *backend, const sw_serve_nature *nature, int default_batch,
                              bool ports) {
    sw__message *policy, *latest, *optimization;
    bool ensemble = sw__message_get(message, "ensemble_scheduling") != NULL;
    if (!*sw__message_text(message, "name")) {
        sw__message_clear(message, "name");
        SW_TRY(set_text(source, message, "name", name));
    }
    const char *platform = sw__message_text(message, "platform"), *set = sw__message_text(message, "backend");
    if (!*platform && !*set && (ensemble || *backend->platform)) {
        sw__message_clear(message, "platform");
        SW_TRY(set_text(source, message, "platform", ensemble ? "ensemble" : backend->platform));
    }
    if (!*set && !ensemble) {
        sw__message_clear(message, "backend");
        SW_TRY(set_text(source, message, "backend", backend->name));
    }
    if (!sw__message_get(message, "version_policy")) {
        SW_TRY(set_message(source, message, "version_policy", &policy));
        SW_TRY(set_message(source, policy, "latest", &latest));
        SW_TRY(set_int(source, latest, "num_versions", 1));
    }
    if (ensemble) return complete_message(source, message, "model_transaction_policy");
    if (ports) SW_TRY(complete_ports(source, message, nature, default_batch));
    if (!sw__message_get(message, "optimization")) { /* what Triton says of itself, too; nothing is pinned here */
        SW_TRY(set_message(source, message, "optimization", &optimization));
        SW_TRY(complete_message(source, optimization, "input_pinned_memory"));
        SW_TRY(complete_message(source, optimization, "output_pinned_memory"));
    }
    return complete_group(source, message, name);
}

/* -- Do they fit? ---------------------------------------------------------------------------------------------------- */

enum { SHAPE_TEXT = 200 };

static const char *shape_text(int rank, const int64_t *dims, char text[SHAPE_TEXT]) {
    size_t at = (size_t)snprintf(text, SHAPE_TEXT, "[");
    for (int i = 0; i < rank; i++)
        at += (size_t)snprintf(text + at, SHAPE_TEXT - at, "%s%" PRId64, i ? "," : "", dims[i]);
    snprintf(text + at, SHAPE_TEXT - at, "]");
    return text;
}

static sw_status match_port(const sw__config *config, const sw__source *source, const char *what, const sw__io *io,
                            const sw_serve_port *port) {
    const char *name = config->name;
    if (port->loose) return SW_OK;
    if (io->dtype != port->dtype)
        return sw_fail(source->diag, SW_E_MODEL, source->where, NULL,
                       "model '%s': %s '%s' is of data type %s in the configuration, but %s in the model", name, what,
                       io->name, sw_serve_dtype_name(io->dtype), sw_serve_dtype_name(port->dtype));
    int64_t dims[SW_MAX_RANK + 1] = {-1};
    int batched = config->max_batch > 0, rank = io->reshaped ? io->inner_rank : io->rank;
    memcpy(dims + batched, io->reshaped ? io->inner : io->dims, (size_t)rank * sizeof *dims);
    rank += batched;
    bool fits = rank == port->rank;
    for (int i = 0; fits && i < rank; i++) fits = dims[i] < 0 || port->dims[i] < 0 || dims[i] == port->dims[i];
    char expected[SHAPE_TEXT], got[SHAPE_TEXT];
    if (!fits)
        return sw_fail(source->diag, SW_E_MODEL, source->where,
                       batched ? "dims leave the batch out when max_batch_size is above 0"
                               : "max_batch_size is 0: dims are all dims",
                       "model '%s': %s '%s' is %s in the model, but %s in the configuration%s", name, what, io->name,
                       shape_text(port->rank, port->dims, expected), shape_text(rank, dims, got),
                       batched ? " (with the batch in front)" : "");
    if (batched && port->dims[0] >= 0)
        return sw_fail(source->diag, SW_E_MODEL, source->where,
                       "set max_batch_size: 0 and give all dims, or export the model with an open batch",
                       "model '%s': max_batch_size is %d, but the first dim of %s '%s' is fixed at %" PRId64, name,
                       config->max_batch, what, io->name, port->dims[0]);
    return SW_OK;
}

static sw_status match_ports(const sw__config *config, const sw__source *source, bool input, const sw__io *ios, int n,
                             const sw_serve_port *ports, int n_ports) {
    const char *what = input ? "input" : "output";
    for (int i = 0; i < n; i++) {
        char names[300] = "";
        size_t at = 0;
        int found = -1;
        for (int j = 0; j < n_ports; j++) {
            if (strcmp(ports[j].name, ios[i].name) == 0) found = j;
            if (at < sizeof names)
                at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", j ? ", " : "", ports[j].name);
        }
        if (found < 0)
            return sw_fail(source->diag, SW_E_MODEL, source->where, NULL,
                           "unexpected inference %s '%s', allowed %ss are: %s", what, ios[i].name, what, names);
        SW_TRY(match_port(config, source, what, &ios[i], &ports[found]));
    }
    for (int j = 0; input && j < n_ports; j++) {
        bool named = false;
        for (int i = 0; i < n; i++) named |= strcmp(ports[j].name, ios[i].name) == 0 && !ios[i].optional;
        if (!named && !ports[j].optional)
            return sw_fail(source->diag, SW_E_MODEL, source->where, "add it, not optional",
                           "model '%s' needs input '%s', which the configuration lacks", config->name, ports[j].name);
    }
    return SW_OK;
}

sw_status sw__config_match(const sw__config *config, const sw__source *source, const sw_serve_nature *nature) {
    if (!config->n_inputs || !config->n_outputs)
        return sw_fail(source->diag, SW_E_MODEL, source->where, "add them to config.pbtxt",
                       "model '%s': must specify at least one input and one output", config->name);
    const sw__node *batching = sw__message_get(config->message, "dynamic_batching");
    if (batching && !config->max_batch)
        sw_warn(source->diag, source->where, "line %d, column %d: dynamic_batching makes no batches: max_batch_size is 0",
                batching->line, batching->column);
    if (!nature->n_inputs && !nature->n_outputs) return SW_OK;
    SW_TRY(match_ports(config, source, true, config->inputs, config->n_inputs, nature->inputs, nature->n_inputs));
    return match_ports(config, source, false, config->outputs, config->n_outputs, nature->outputs, nature->n_outputs);
}
