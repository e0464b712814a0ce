#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/options.h"
#include "base/os.h"
#include "engine/chains.h"
#include "engine/control.h"
#include "engine/gpu.h"
#include "engine/groups.h"
#include "engine/session.h"

/* Instances kept at a time unless more are asked for; the least recently used makes room. */
enum { FEW_INSTANCES = 8 };
/* More than a few are kept only while they take no more bytes. */
static const size_t most_instance_bytes = (size_t)256 << 20;

struct sw_session {
    sw_plan *plan;
    sw_diag diag;
    const sw_allocator *allocator;
    sw_pool *pool;
    bool lent_pool, reference; /* lent_pool: by the session whose plan holds this one's */
    sw_control *control; /* NULL: no graphs within */
    int64_t memory_limit;
    sw_instance **instances;
    int n_instances;     /* places for them */
    sw_instance *latest; /* of them; NULL before the first run */
    sw_gpu *gpu; /* NULL: on the CPU */
    sw_gpu_program *programs[FEW_INSTANCES];
    sw_gpu_ends *ends; /* NULL: none */
    bool no_fallback, tune;
    sw_demand demand;
    uint64_t clock; /* counts runs */
    char *block;    /* shared by all instances: one runs at a time */
    int64_t block_bytes;
    void *scratch; /* in place of that in the block; NULL: none */
    sw_watch watch;
    void **dynamic; /* blocks of values whose shape depends on data, freed at the next run */
    size_t n_dynamic, cap_dynamic;
    int64_t dynamic_bytes;
    const sw_tensor **in; /* room for the ports of a step */
    sw_tensor **out, *slices;
};

enum { WHY_BYTES = 256 };

static void keep_text(void *ctx, const sw_message *message) {
    snprintf(ctx, WHY_BYTES, "%s", message->text);
}

/* Opens the GPU that the options ask for. */
static sw_status open_device(sw_session *session, const sw_session_options *options, const sw_diag *diag) {
    sw_device device;
    SW_TRY(sw_device_parse(options->device, diag, &device));
    session->no_fallback = options->no_fallback;
    session->tune = options->tune;
    if (device.kind == SW_DEVICE_CPU) return SW_OK;
    if (session->control && device.kind == SW_DEVICE_CUDA)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "run it with --device cpu",
                       "the model holds an If, Loop or Scan that its data decides, which CUDA devices do not run");
    if (session->control) {
        sw_info(diag, NULL, "running on the CPU: the model holds an If, Loop or Scan that its data decides");
        return SW_OK;
    }
    if (device.kind == SW_DEVICE_CUDA) return sw_gpu_create(session->plan, device.index, diag, &session->gpu);
    char why[WHY_BYTES] = "";
    sw_diag quiet = {keep_text, why};
    if (sw_gpu_create(session->plan, 0, &quiet, &session->gpu) == SW_OK) return SW_OK;
    sw_info(diag, NULL, "running on the CPU: %s", why);
    return SW_OK;
}

static bool has_control(const sw_plan *plan) {
    for (size_t s = 0; s < plan->n_steps; s++)
        if (sw_op_is_control(plan->steps[s].op)) return true;
    return false;
}

/* All but the pool and the device. */
static sw_session *new_session(sw_plan *plan, const sw_control_host *host) {
    const sw_allocator *allocator = plan->allocator;
    sw_session *session = sw_calloc(allocator, 1, sizeof *session);
    if (!session) return NULL;
    session->plan = sw_plan_ref(plan);
    session->allocator = allocator;
    session->diag = host->diag;
    session->memory_limit = host->memory_limit;
    session->reference = host->reference;
    session->pool = host->pool;
    session->lent_pool = true;
    size_t ports = (size_t)sw_plan_max_ports(plan);
    session->in = sw_calloc(allocator, ports, sizeof *session->in);
    session->out = sw_calloc(allocator, ports, sizeof *session->out);
    session->slices = sw_calloc(allocator, 2 * ports, sizeof *session->slices);
    session->instances = sw_calloc(allocator, FEW_INSTANCES, sizeof(void *));
    session->n_instances = session->instances ? FEW_INSTANCES : 0;
    bool control = has_control(plan);
    if (control) session->control = sw_control_create(host);
    if (session->in && session->out && session->slices && session->instances && (session->control || !control))
        return session;
    sw_session_destroy(session);
    return NULL;
}

sw_status sw_session_create_within(sw_plan *plan, const sw_control_host *host, sw_session **result) {
    *result = new_session(plan, host);
    return *result ? SW_OK : SW_E_NOMEM;
}

sw_status sw_session_create(sw_plan *plan, const sw_session_options *options, const sw_diag *diag,
                            sw_session **result) {
    SW_TRY(SW_OPTIONS_CHECK(options, diag));
    if (plan->stripped)
        return sw_fail(diag, SW_E_MODEL, NULL, "put them back with 'slipway refit'",
                       "the plan was stripped of its weights");
    sw_control_host host = {.allocator = plan->allocator, .reference = plan->reference};
    if (diag) host.diag = *diag;
    host.memory_limit = options && options->memory_limit > 0 ? options->memory_limit : sw_os_memory_bytes();
    host.pool = sw_pool_create(plan->allocator, options ? options->threads : 0);
    sw_session *session = host.pool ? new_session(plan, &host) : NULL;
    if (!session) {
        sw_pool_destroy(host.pool);
        return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    }
    session->lent_pool = false;
    sw_status status = options ? open_device(session, options, diag) : SW_OK;
    if (status == SW_OK)
        *result = session;
    else
        sw_session_destroy(session);
    return status;
}

static void free_dynamic(sw_session *session) {
    for (size_t i = 0; i < session->n_dynamic; i++) sw_free(session->allocator, session->dynamic[i]);
    session->n_dynamic = 0;
    session->dynamic_bytes = 0;
}

static void drop_instance(sw_session *session, int slot) {
    if (session->gpu) {
        sw_gpu_program_destroy(session->gpu, session->programs[slot]);
        session->programs[slot] = NULL;
    }
    sw_instance_destroy(session->instances[slot]);
    session->instances[slot] = NULL;
}

void sw_session_destroy(sw_session *session) {
    if (!session) return;
    for (int i = 0; i < session->n_instances; i++) drop_instance(session, i);
    sw_free(session->allocator, session->instances);
    if (session->gpu) sw_gpu_ends_destroy(session->gpu, session->ends);
    sw_gpu_destroy(session->gpu);
    free_dynamic(session);
    sw_free(session->allocator, session->dynamic);
    sw_free(session->allocator, session->block);
    sw_free(session->allocator, session->in);
    sw_free(session->allocator, session->slices);
    sw_free(session->allocator, session->out);
    sw_control_destroy(session->control);
    if (!session->lent_pool) sw_pool_destroy(session->pool);
    sw_plan_unref(session->plan);
    sw_free(session->allocator, session);
}

static bool runs_on_cpu(const void *program, size_t step) {
    return sw_gpu_step_on_cpu(program, step);
}

/* Makes the program of an instance, and ready what stays on the CPU. */
static sw_status build_program(sw_session *session, sw_instance *instance, sw_gpu_program **program) {
    if (session->tune) sw_gpu_set_tuning(session->gpu);
    SW_TRY(sw_gpu_build(session->gpu, instance, !session->no_fallback, &session->diag, program));
    sw_status status = session->tune ? sw_gpu_tune(session->gpu, *program, NULL, &session->diag) : SW_OK;
    if (status == SW_OK && sw_gpu_uses_cpu(*program))
        status = sw_instance_prepare(instance, session->plan, sw_pool_threads(session->pool), runs_on_cpu, *program,
                                     &session->diag);
    if (status == SW_OK)
        sw_gpu_tell_cuts(session->gpu, *program, &session->diag);
    else
        sw_gpu_program_destroy(session->gpu, *program);
    return status;
}

/* Where a new instance goes: a free place, or that of the least recently used where there is none, or too much is kept. */
static int place_for_one(const sw_session *session) {
    int oldest = 0, free = -1, n = 0;
    size_t bytes = 0;
    for (int i = session->n_instances - 1; i >= 0; i--) {
        const sw_instance *instance = session->instances[i], *old = session->instances[oldest];
        if (!instance) {
            free = i;
            continue;
        }
        n++;
        bytes += sw_arena_used(instance->arena);
        if (!old || instance->last_used < old->last_used) oldest = i;
    }
    return free >= 0 && (n < FEW_INSTANCES || bytes < most_instance_bytes) ? free : oldest;
}

/* The slot of the instance for these shapes: a cached one, or a new one. */
static sw_status find_instance(sw_session *session, const sw_tensor *inputs, int *slot) {
    for (int i = 0; i < session->n_instances; i++)
        if (session->instances[i] && sw_demand_alike(&session->instances[i]->demand, &session->demand) &&
            sw_instance_fits(session->instances[i], session->plan, inputs)) {
            *slot = i;
            return SW_OK;
        }
    int place = place_for_one(session);
    sw_instance *fresh;
    sw_gpu_program *program = NULL;
    int threads = session->gpu ? 0 : sw_pool_threads(session->pool);
    SW_TRY(sw_instance_create(session->plan, inputs, threads, &session->demand, session->lent_pool, &session->diag,
                              session->allocator, &fresh));
    sw_status status = session->gpu ? build_program(session, fresh, &program) : SW_OK;
    if (status != SW_OK) {
        sw_instance_destroy(fresh);
        return status;
    }
    if (session->latest == session->instances[place]) session->latest = NULL;
    drop_instance(session, place);
    session->instances[place] = fresh;
    if (session->gpu) session->programs[place] = program;
    *slot = place;
    return SW_OK;
}

sw_status sw_session_keep_shapes(sw_session *session, int n) {
    if (n <= session->n_instances || session->gpu) return SW_OK;
    sw_instance **more = sw_calloc(session->allocator, (size_t)n, sizeof(void *));
    if (!more) return SW_E_NOMEM;
    memcpy(more, session->instances, (size_t)session->n_instances * sizeof(void *));
    sw_free(session->allocator, session->instances);
    session->instances = more;
    session->n_instances = n;
    return SW_OK;
}

int64_t sw_session_bytes(const sw_session *session) {
    int64_t bytes = session->block_bytes + session->dynamic_bytes;
    for (int i = 0; i < session->n_instances; i++)
        if (session->instances[i]) bytes += (int64_t)sw_arena_used(session->instances[i]->arena);
    return bytes;
}

static sw_status check_memory(const sw_session *session, int64_t bytes) {
    int64_t total;
    if (!__builtin_add_overflow(bytes, session->dynamic_bytes, &total) && total <= session->memory_limit) return SW_OK;
    return sw_fail(&session->diag, SW_E_LIMIT, NULL, NULL,
                   "the model needs %.1f GiB for its tensors, but only %.1f GiB may be used", (double)bytes / 0x1p30,
                   (double)session->memory_limit / 0x1p30);
}

static sw_status reserve_block(sw_session *session, sw_instance *instance) {
    if (instance->block_bytes > session->block_bytes) {
        SW_TRY(check_memory(session, instance->block_bytes));
        char *block = sw_alloc(session->allocator, (size_t)instance->block_bytes);
        if (!block)
            return sw_fail(&session->diag, SW_E_NOMEM, NULL, NULL, "out of memory: the model needs %" PRId64 " bytes",
                           instance->block_bytes);
        sw_free(session->allocator, session->block);
        session->block = block;
        session->block_bytes = instance->block_bytes;
    }
    if (instance->block != session->block) sw_instance_place(instance, session->plan, session->block);
    return SW_OK;
}

static sw_status allocate_dynamic(sw_session *session, sw_tensor *tensor) {
    int64_t bytes = sw_tensor_bytes(tensor);
    if (bytes < 0)
        return sw_fail(&session->diag, SW_E_LIMIT, NULL, NULL, "a tensor has more elements than can be addressed");
    SW_TRY(check_memory(session, bytes + session->block_bytes));
    SW_TRY(sw_grow(session->allocator, (void **)&session->dynamic, &session->cap_dynamic, session->n_dynamic + 1,
                   sizeof *session->dynamic, SIZE_MAX));
    tensor->data = sw_alloc(session->allocator, (size_t)bytes);
    if (!tensor->data)
        return sw_fail(&session->diag, SW_E_NOMEM, NULL, NULL, "out of memory: a tensor needs %" PRId64 " bytes",
                       bytes);
    session->dynamic[session->n_dynamic++] = tensor->data;
    session->dynamic_bytes += bytes;
    return SW_OK;
}

/* sw_call.resize: a kernel has found out how large its output is. */
static sw_status resize_output(const sw_call *call, int index, int rank, const int64_t *dims) {
    sw_tensor *out = call->out[index];
    out->rank = rank;
    memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    return allocate_dynamic(call->resize_ctx, out);
}

static bool is_dynamic(const sw_instance *instance, const sw_step *step) {
    for (int i = 0; i < step->n_out; i++)
        if (step->out[i] >= 0 && instance->places[step->out[i]] == SW_PLACE_DYNAMIC) return true;
    return false;
}

/* A step whose shape the data decided: packed weights are kept for the next run, which may bring another shape. */
static sw_status execute_late(sw_session *session, size_t index, const sw_call *call) {
    sw_plan *plan = session->plan;
    sw_prepared prepared;
    SW_TRY(sw_cpu_prepare(call, (int32_t)index, plan->steps[index].tactic, plan->packs, sw_pool_threads(session->pool),
                          &prepared));
    void *scratch = prepared.scratch_bytes ? sw_alloc(session->allocator, prepared.scratch_bytes) : NULL;
    if (prepared.scratch_bytes && !scratch) return SW_E_NOMEM;
    sw_status status = sw_cpu_run(call, &prepared, scratch);
    sw_free(session->allocator, scratch);
    return status;
}

static void *scratch_of(const sw_session *session, const sw_instance *instance) {
    if (session->scratch) return session->scratch;
    return session->block ? session->block + instance->scratch_offset : NULL;
}

/* Runs a step, whose outputs have memory, or get it. */
static sw_status execute(sw_session *session, const sw_instance *instance, size_t index, const sw_call *call) {
    const sw_step *step = &session->plan->steps[index];
    if (sw_op_is_control(call->op)) return sw_control_run(session->control, call);
    bool packs = call->op == SW_OP_FusedConv || sw_call_is_product(call);
    if (packs && !call->reference && is_dynamic(instance, step) &&
        sw_instance_has_weights(instance, session->plan, step))
        return execute_late(session, index, call);
    return sw_cpu_run(call, &instance->prepared[index], scratch_of(session, instance));
}

/* Shapes and memory of outputs that depend on data. */
static sw_status allocate_outputs(sw_session *session, const sw_call *call) {
    for (int i = 0; i < call->n_out; i++)
        if (call->out[i]) call->out[i]->data = NULL;
    SW_TRY(sw_op_infer(call));
    if (sw_op_is_control(call->op)) return SW_OK; /* their results tell the shapes */
    for (int i = 0; i < call->n_out; i++)
        if (call->out[i] && sw_tensor_is_concrete(call->out[i])) SW_TRY(allocate_dynamic(session, call->out[i]));
    for (int i = 0; i < call->n_out; i++)
        if (call->out[i]) call->out[i]->pitch = call->out[i]->layout == SW_CHANNELS_LAST ? call->out[i]->dims[1] : 0;
    return SW_OK;
}

/* Of a chain, as run_step of its steps: what thread 0 spent tells them apart; alike where it had none to do. */
static sw_status run_chain(sw_session *session, sw_instance *instance, const sw_chain *chain, int64_t round,
                           int64_t *spent) {
    int64_t shares[SW_CHAIN_LAYERS] = {0}, sum = 0;
    sw_chain_run run = {.spent = session->watch.step ? shares : NULL};
    for (int i = 0; i < chain->n; i++) {
        sw_call call = sw_instance_call(instance, session->plan, chain->steps[i], round, session->in, session->out,
                                        session->slices, &session->diag);
        const sw_tensor *residual = sw_call_in(&call, 3);
        run.residual[i] = residual ? residual->data : NULL;
        if (i == 0) run.in = call.in[0]->data;
        run.out = call.out[0]->data;
    }
    int64_t begin = session->watch.step ? sw_clock_ns() : 0;
    sw_chain_execute(instance, chain, &run, scratch_of(session, instance), session->pool);
    if (!session->watch.step) return SW_OK;
    int64_t whole = sw_clock_ns() - begin;
    for (int i = 0; i < chain->n; i++) sum += ++shares[i];
    for (int i = 0; i < chain->n; i++) {
        int64_t part = (int64_t)((double)whole * (double)shares[i] / (double)sum);
        if (spent)
            spent[chain->steps[i] - chain->steps[0]] += part;
        else
            session->watch.step(session->watch.ctx, chain->steps[i], begin, begin + part);
        begin += part;
    }
    return SW_OK;
}

/* Tells whoever watches; of steps in a group, the time that a round took is added to `spent`. */
static sw_status run_step(sw_session *session, sw_instance *instance, size_t index, int64_t round, int64_t *spent) {
    const sw_step *step = &session->plan->steps[index];
    const sw_chain *chain = sw_chain_of(instance, index);
    if (chain) return chain->steps[0] == index ? run_chain(session, instance, chain, round, spent) : SW_OK;
    sw_call call = sw_instance_call(instance, session->plan, index, round, session->in, session->out, session->slices,
                                    &session->diag);
    call.reference = session->reference;
    call.pool = session->pool;
    call.allocator = session->allocator;
    call.resize = resize_output;
    call.resize_ctx = session;
    call.columns = sw_demand_of_step(instance, index);
    if (is_dynamic(instance, step)) SW_TRY(allocate_outputs(session, &call));
    if (!session->watch.step) return execute(session, instance, index, &call);
    int64_t begin = sw_clock_ns();
    sw_status status = execute(session, instance, index, &call);
    if (spent)
        *spent += sw_clock_ns() - begin;
    else
        session->watch.step(session->watch.ctx, index, begin, sw_clock_ns());
    return status;
}

/* Whoever watches is told of each step once, as if all its rounds had followed each other. */
static sw_status run_group(sw_session *session, sw_instance *instance, const sw_group *group) {
    size_t n = group->end - group->first;
    int64_t begin = sw_clock_ns(),
            *spent = session->watch.step ? sw_calloc(session->allocator, n, sizeof *spent) : NULL;
    sw_status status = session->watch.step && !spent ? SW_E_NOMEM : SW_OK;
    for (int64_t round = 0; round < group->rounds; round++)
        for (size_t s = group->first; status == SW_OK && s < group->end; s++)
            if (!instance->skip[s])
                status = run_step(session, instance, s, round, spent ? &spent[s - group->first] : NULL);
    for (size_t i = 0; spent && i < n; i++) {
        if (!instance->skip[group->first + i])
            session->watch.step(session->watch.ctx, group->first + i, begin, begin + spent[i]);
        begin += spent[i];
    }
    sw_free(session->allocator, spent);
    return status;
}

/* An output that is an input itself is copied: it must outlive the caller's tensor. */
static sw_status copy_input(sw_session *session, sw_tensor *output) {
    sw_tensor copy = *output;
    SW_TRY(allocate_dynamic(session, &copy));
    memcpy(copy.data, output->data, (size_t)sw_tensor_bytes(output));
    *output = copy;
    return SW_OK;
}

/* What a callback of sw_gpu_run needs. */
typedef struct cpu_part {
    sw_session *session;
    sw_instance *instance;
} cpu_part;

static sw_status run_cpu_step(void *ctx, size_t step) {
    cpu_part *part = ctx;
    return run_step(part->session, part->instance, step, 0, NULL);
}

static sw_status run_steps(sw_session *session, int slot) {
    sw_instance *instance = session->instances[slot];
    sw_gpu_program *program = session->gpu ? session->programs[slot] : NULL;
    if (!program || sw_gpu_uses_cpu(program)) SW_TRY(reserve_block(session, instance));
    if (program)
        return sw_gpu_run(session->gpu, program, run_cpu_step, &(cpu_part){session, instance},
                          &session->diag);
    for (size_t s = 0; s < session->plan->n_steps; s++) {
        size_t step = (size_t)instance->order[s];
        if (s == instance->n_early) sw_demand_look(instance);
        const sw_group *group = sw_group_of(instance, step); /* the order of whose steps is the plan's */
        if (group) {
            SW_TRY(run_group(session, instance, group));
            s = group->end - 1;
        } else if (!instance->skip[step]) {
            SW_TRY(run_step(session, instance, step, 0, NULL));
        }
    }
    return SW_OK;
}

/* Finds the instance for these shapes. */
static sw_status bind(sw_session *session, const sw_tensor *inputs, int *slot) {
    free_dynamic(session);
    SW_TRY(find_instance(session, inputs, slot));
    sw_instance *instance = session->instances[*slot];
    instance->last_used = ++session->clock;
    session->latest = instance;
    sw_demand_above(instance, session->demand.above);
    return SW_OK;
}

static sw_status run_bound(sw_session *session, int slot, const sw_tensor *inputs, sw_tensor *outputs) {
    const sw_plan *plan = session->plan;
    sw_instance *instance = session->instances[slot];
    for (int i = 0; i < plan->n_inputs; i++) instance->values[plan->inputs[i]].data = inputs[i].data;
    SW_TRY(run_steps(session, slot));
    for (int i = 0; i < plan->n_outputs; i++) {
        outputs[i] = instance->values[plan->outputs[i]];
        if (instance->places[plan->outputs[i]] == SW_PLACE_INPUT) SW_TRY(copy_input(session, &outputs[i]));
    }
    return SW_OK;
}

sw_status sw_session_run(sw_session *session, const sw_tensor *inputs, sw_tensor *outputs) {
    int slot;
    SW_TRY(bind(session, inputs, &slot));
    return run_bound(session, slot, inputs, outputs);
}

/* The convolution that alone reads the only input; -1. */
static int64_t reader_of_picture(const sw_plan *plan) {
    int64_t reader = -1;
    int uses = 0;
    if (plan->n_inputs != 1) return -1;
    for (size_t s = 0; s < plan->n_steps; s++)
        for (int i = 0; i < plan->steps[s].n_in; i++) {
            if (plan->steps[s].in[i] != plan->inputs[0]) continue;
            bool reads = i == 0 && plan->steps[s].op == SW_OP_FusedConv && plan->steps[s].in[1] >= 0;
            reader = reads && plan->steps[s].out[0] >= 0 ? (int64_t)s : -1;
            uses++;
        }
    for (int i = 0; i < plan->n_outputs; i++) uses += plan->outputs[i] == plan->inputs[0];
    return uses == 1 ? reader : -1;
}

static bool is_computed(const sw_plan *plan, int32_t value) {
    for (size_t s = 0; s < plan->n_steps; s++)
        for (int i = 0; i < plan->steps[s].n_out; i++)
            if (plan->steps[s].out[i] == value) return true;
    return false;
}

bool sw_session_takes_bytes(const sw_session *session) {
    const sw_plan *plan = session->plan;
    int64_t reader = session->gpu || session->reference || session->control ? -1 : reader_of_picture(plan);
    if (reader < 0 || is_computed(plan, plan->steps[reader].in[1])) return false;
    const sw_tensor *in = &sw_plan_input(plan, 0)->type, *weights = &plan->values[plan->steps[reader].in[1]].type,
                    *out = &plan->values[plan->steps[reader].out[0]].type;
    bool picture = in->dtype == SW_F32 && in->rank == 4 && (in->dims[0] == 1 || in->dims[0] < 0) && in->dims[1] == 3;
    return picture && in->layout == SW_ROW_MAJOR && out->layout == SW_CHANNELS_LAST && weights->rank == 4 &&
           weights->dims[1] == 3;
}

sw_status sw_session_run_bytes(sw_session *session, const sw_tensor *bytes, float divisor, sw_tensor *outputs) {
    sw_tensor planes = {SW_F32, 4, {1, 3, bytes->dims[1], bytes->dims[2]}, bytes->data};
    int slot;
    SW_TRY(bind(session, &planes, &slot));
    sw_prepared *reader = &session->instances[slot]->prepared[reader_of_picture(session->plan)];
    if (!reader->tactic || !reader->conv.in_planar || reader->conv.in_channels != 3 || reader->conv.groups != 1)
        return sw_fail(&session->diag, SW_E_MODEL, NULL, NULL, "the weights of the first convolution are not constant");
    reader->conv.in_divisor = divisor;
    sw_status status = run_bound(session, slot, &planes, outputs);
    reader->conv.in_divisor = 0;
    return status;
}

void sw_session_demand(sw_session *session, const sw_demand *demand) {
    session->demand = demand && !session->gpu && !session->reference ? *demand : (sw_demand){0};
}

sw_status sw_session_set_ends(sw_session *session, sw_plan *const pictures[2], sw_plan *boxes, int output,
                              const char **why) {
    *why = session->gpu ? sw_gpu_ends_refuse(session->gpu, pictures, boxes) : "the network is not on a GPU";
    if (*why || session->ends) return SW_OK;
    return sw_gpu_ends_create(session->gpu, pictures, boxes, output, &session->diag, &session->ends);
}

sw_status sw_session_run_picture(sw_session *session, const sw_tensor *picture, int order, sw_tensor *canvas,
                                 sw_tensor *rows, sw_tensor *outputs) {
    const sw_plan *plan = session->plan;
    int slot;
    *rows = (sw_tensor){0};
    if (!session->ends) return SW_OK;
    sw_letterbox_fit fit = sw_gpu_ends_fit(session->ends, picture->dims[0], picture->dims[1]);
    *canvas = (sw_tensor){.dtype = SW_F32, .rank = 4, .dims = {1, 3, fit.height, fit.width}};
    sw_tensor known = *canvas;
    known.data = picture->data; /* by its shape; nobody reads it */
    SW_TRY(bind(session, &known, &slot));
    sw_instance *instance = session->instances[slot];
    SW_TRY(sw_gpu_run_ends(session->gpu, session->programs[slot], session->ends, picture, order, &session->diag, rows));
    for (int i = 0; i < plan->n_outputs; i++) outputs[i] = instance->values[plan->outputs[i]];
    return SW_OK;
}

void sw_session_watch(sw_session *session, sw_watch watch) {
    session->watch = watch;
}

sw_instance *sw_session_instance(sw_session *session) {
    return session->latest;
}

sw_gpu *sw_session_gpu(sw_session *session, sw_gpu_program **program) {
    *program = NULL;
    for (int i = 0; session->latest && session->gpu && i < FEW_INSTANCES; i++)
        if (session->instances[i] == session->latest) *program = session->programs[i];
    return *program ? session->gpu : NULL;
}

void sw_session_use_scratch(sw_session *session, void *scratch) {
    session->scratch = scratch;
}

sw_pool *sw_session_pool(sw_session *session) {
    return session->pool;
}
