/* A driver and an NVRTC that need no GPU: graphs and launches run in the emulator. The library stands in for libcuda.so.1
 * (SLIPWAY_CUDA_DRIVER) and for libnvrtc (SLIPWAY_NVRTC). EMU_CUDA chooses what goes wrong: words "nogpu", "old", "broken",
 * "cuda12.2" (functions of 12.3 are missing), "sm60", "sm75", "sm89", "nomemory", "taken" (nor a context), "foreign" (code of
 * another GPU), "nocompile", "hang"; "edges" tells of those of each graph; "fast-library": what a library runs takes half the
 * time; "even-library": only where no kernel runs beside.
 *
 * Operations of a graph run in an order that its dependencies allow and that is as far as can be from the order of recording,
 * so that missing ones show. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/driver.h"
#include "cuda_emu/emu.h"

#define EXPORT __attribute__((visibility("default")))

enum { MAX_OPERATIONS = 4096, MAX_WAITS = 20, MAX_ARGUMENTS = 4096, BAD = 1, NOT_FOUND = 500 };

bool emu_goes_wrong(const char *how) {
    const char *text = getenv("EMU_CUDA");
    return text && strstr(text, how);
}
#define goes_wrong emu_goes_wrong

/* ---- Operations ---------------------------------------------------------------------------------------------------- */

typedef struct operation {
    const emu_kernel *kernel; /* NULL: a call, a copy, or (from NULL) a fill */
    int grid_x, grid_y;
    unsigned shared_bytes;
    void *to;
    const void *from;
    size_t bytes;
    unsigned char value;
    int waits[MAX_WAITS], n_waits;
    sw_cu_edge edges[MAX_WAITS]; /* from each of these */
    void (*call)(const void *arguments);
    char arguments[MAX_ARGUMENTS] __attribute__((aligned(16)));
} operation;

struct CUgraph_st {
    operation *operations;
    int n;
};
struct CUstream_st {
    int capture;                   /* the number of the capture that the rest is of */
    int last;                      /* operation of the graph being captured; -1: none */
    int waits[MAX_WAITS], n_waits; /* for the next one */
};
struct CUevent_st {
    int operation;
};

static _Thread_local struct CUgraph_st *capturing; /* captures are of a thread */
static _Thread_local int captures;

/* A stream knows nothing of captures before the one under way. */
static void refresh(sw_cu_stream stream) {
    if (stream->capture == captures) return;
    stream->capture = captures;
    stream->last = -1;
    stream->n_waits = 0;
}

/* Whether libraries, and kernels, have run since the last event, and between the two before. */
static bool libraries_run, kernels_run, libraries_ran, kernels_ran;

static unsigned perform(const operation *o) {
    libraries_run |= o->call != NULL;
    kernels_run |= o->kernel != NULL;
    if ((o->kernel || o->call) && goes_wrong("idle")) return 0;
    if (o->call)
        o->call(o->arguments);
    else if (o->kernel)
        emu_launch(o->kernel, o->grid_x, o->grid_y, o->shared_bytes, o->arguments);
    else if (o->from)
        memcpy(o->to, o->from, o->bytes);
    else
        memset(o->to, o->value, o->bytes);
    return 0;
}

/* programmatic: so is the edge from the operation before on the stream. */
static unsigned submit(operation *o, sw_cu_stream stream, bool programmatic) {
    if (!capturing) return perform(o);
    if (capturing->n == MAX_OPERATIONS) return BAD;
    refresh(stream);
    if (programmatic) o->edges[0] = (sw_cu_edge){SW_CU_PORT_PROGRAMMATIC, 0, SW_CU_EDGE_PROGRAMMATIC, {0}};
    if (programmatic && stream->last < 0) return BAD;
    if (stream->last >= 0) o->waits[o->n_waits++] = stream->last;
    for (int i = 0; i < stream->n_waits && o->n_waits < MAX_WAITS; i++) o->waits[o->n_waits++] = stream->waits[i];
    stream->n_waits = 0;
    stream->last = capturing->n;
    capturing->operations[capturing->n++] = *o;
    return 0;
}

unsigned emu_submit(void (*run)(const void *arguments), const void *arguments, size_t size, sw_cu_stream stream) {
    operation o = {.call = run};
    if (size > sizeof o.arguments) return BAD;
    memcpy(o.arguments, arguments, size);
    return submit(&o, stream, false);
}

/* Always the latest operation whose dependencies are done. */
static unsigned perform_graph(const struct CUgraph_st *graph) {
    bool *done = calloc((size_t)graph->n + 1, sizeof *done);
    if (!done) return SW_CU_NO_MEMORY;
    for (int left = graph->n; left; left--) {
        int pick = -1;
        for (int i = graph->n - 1; i >= 0 && pick < 0; i--) {
            bool ready = !done[i];
            for (int k = 0; k < graph->operations[i].n_waits; k++) ready &= done[graph->operations[i].waits[k]];
            if (ready) pick = i;
        }
        if (pick < 0) exit(72); /* it waits for itself */
        done[pick] = true;
        perform(&graph->operations[pick]);
    }
    free(done);
    return 0;
}

/* ---- The driver ---------------------------------------------------------------------------------------------------- */

static unsigned fake_init(unsigned flags) {
    return goes_wrong("broken") ? 999 : goes_wrong("nogpu") ? SW_CU_NO_DEVICE : 0;
}
static unsigned fake_driver_version(int *version) {
    return *version = goes_wrong("old") ? 11080 : 13000, 0;
}
static unsigned fake_error_string(unsigned error, const char **text) {
    return *text = error == 999 ? "unknown error" : "invalid argument", 0;
}
static unsigned fake_device_count(int *n) {
    return *n = 2, 0;
}
static unsigned fake_device_get(int *device, int index) {
    return *device = index, 0;
}
static unsigned fake_device_name(char *name, int size, int device) {
    return snprintf(name, (size_t)size, "Emulated %d", device), 0;
}
static unsigned fake_device_memory(size_t *bytes, int device) {
    return *bytes = (size_t)4 << 30, 0;
}
static unsigned fake_device_attribute(int *value, unsigned attribute, int device) {
    int sm = goes_wrong("sm60") ? 60 : goes_wrong("sm75") ? 75 : goes_wrong("sm89") ? 89 : 90;
    *value = attribute == SW_CU_SM_MAJOR          ? sm / 10
             : attribute == SW_CU_SM_MINOR        ? sm % 10
             : attribute == SW_CU_MULTIPROCESSORS ? 132
             : attribute == SW_CU_L2_BYTES        ? 50 << 20
                                                  : 0;
    return 0;
}
static unsigned fake_context_retain(sw_cu_context *context, int device) {
    if (goes_wrong("taken")) return SW_CU_NO_MEMORY;
    return *context = (sw_cu_context)&capturing, 0;
}
static unsigned fake_context_release(int device) {
    return 0;
}
static unsigned fake_context_set(sw_cu_context context) {
    return 0;
}
static unsigned fake_memory_info(size_t *free_bytes, size_t *total) {
    return *free_bytes = (size_t)1 << 20, *total = (size_t)4 << 30, 0;
}
static unsigned fake_memory_alloc(sw_cu_pointer *at, size_t bytes) {
    void *memory = goes_wrong("nomemory") ? NULL : aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!memory) return SW_CU_NO_MEMORY;
    memset(memory, 0xff, bytes); /* NaN */
    emu_allow(memory, bytes);
    return *at = (sw_cu_pointer)(size_t)memory, 0;
}
static unsigned fake_memory_free(sw_cu_pointer at) {
    emu_forbid((void *)(size_t)at);
    return free((void *)(size_t)at), 0;
}
static unsigned fake_host_alloc(void **at, size_t bytes) {
    if (!(*at = malloc(bytes))) return SW_CU_NO_MEMORY;
    return emu_allow(*at, bytes), 0; /* kernels reach it */
}
static unsigned fake_host_free(void *at) {
    emu_forbid(at);
    return free(at), 0;
}
static unsigned fake_host_register(void *at, size_t bytes, unsigned flags) {
    return emu_allow(at, bytes), 0;
}
static unsigned fake_host_unregister(void *at) {
    return emu_forbid(at), 0;
}
static void check_place(sw_cu_pointer at, size_t bytes) {
    emu_lock();
    for (size_t i = 0; bytes && i < 2; i++) emu_check_global((char *)(size_t)at + i * (bytes - 1), 1);
    emu_unlock();
}
static unsigned fake_copy_in(sw_cu_pointer to, const void *from, size_t bytes, sw_cu_stream stream) {
    check_place(to, bytes);
    return submit(&(operation){.to = (void *)(size_t)to, .from = from, .bytes = bytes}, stream, false);
}
static unsigned fake_copy_out(void *to, sw_cu_pointer from, size_t bytes, sw_cu_stream stream) {
    check_place(from, bytes);
    return submit(&(operation){.to = to, .from = (void *)(size_t)from, .bytes = bytes}, stream, false);
}
static unsigned fake_memory_set(sw_cu_pointer at, unsigned char value, size_t bytes, sw_cu_stream stream) {
    return submit(&(operation){.to = (void *)(size_t)at, .value = value, .bytes = bytes}, stream, false);
}
static unsigned fake_module_load(sw_cu_module *module, const void *image) {
    if (goes_wrong("foreign")) return SW_CU_NO_BINARY;
    emu_kernel *kernel = emu_find(image);
    return *module = (sw_cu_module)(size_t)kernel, kernel ? 0 : NOT_FOUND;
}
static unsigned fake_module_unload(sw_cu_module module) {
    return 0;
}
static unsigned fake_module_function(sw_cu_function *function, sw_cu_module module, const char *name) {
    return *function = (sw_cu_function)module, 0;
}
static unsigned fake_function_set(sw_cu_function function, unsigned attribute, int value) {
    ((emu_kernel *)(void *)function)->allowed = value;
    return value > 227 * 1024;
}
static unsigned fake_launch(const sw_cu_launch *launch, sw_cu_function function, void **arguments, void **extra) {
    const emu_kernel *kernel = (const emu_kernel *)(const void *)function;
    if ((int)launch->block_x != kernel->threads || kernel->arguments > MAX_ARGUMENTS || launch->grid_x == 0 ||
        launch->shared_bytes > (unsigned)(kernel->allowed ? kernel->allowed : 48 * 1024))
        return BAD;
    operation o = {kernel, (int)launch->grid_x, (int)launch->grid_y, launch->shared_bytes};
    memcpy(o.arguments, arguments[0], kernel->arguments);
    return submit(&o, launch->stream, launch->n_attributes && launch->attributes[0].id == SW_CU_PROGRAMMATIC);
}
static unsigned fake_stream_create(sw_cu_stream *stream, unsigned flags) {
    if ((*stream = calloc(1, sizeof **stream))) (*stream)->last = -1;
    return *stream ? 0 : SW_CU_NO_MEMORY;
}
static unsigned fake_stream_destroy(sw_cu_stream stream) {
    return free(stream), 0;
}
static unsigned fake_stream_wait(sw_cu_stream stream) {
    return 0;
}
static unsigned fake_stream_wait_event(sw_cu_stream stream, sw_cu_event event, unsigned flags) {
    refresh(stream);
    if (capturing && stream->n_waits == MAX_WAITS) return BAD;
    if (capturing && event->operation >= 0) stream->waits[stream->n_waits++] = event->operation;
    return 0;
}
static unsigned fake_capture_begin(sw_cu_stream stream, unsigned mode) {
    capturing = calloc(1, sizeof *capturing);
    if (capturing) capturing->operations = calloc(MAX_OPERATIONS, sizeof *capturing->operations);
    captures++;
    return capturing && capturing->operations ? 0 : SW_CU_NO_MEMORY;
}
static unsigned fake_capture_end(sw_cu_stream stream, sw_cu_graph *graph) {
    *graph = capturing;
    capturing = NULL;
    return 0;
}
static void tell_edges(const struct CUgraph_st *graph) {
    int n = 0, programmatic = 0;
    for (int i = 0; i < graph->n; i++)
        for (int k = 0; k < graph->operations[i].n_waits; k++, n++)
            programmatic += graph->operations[i].edges[k].type == SW_CU_EDGE_PROGRAMMATIC;
    fprintf(stderr, "graph of %d operations, %d edges, %d programmatic\n", graph->n, n, programmatic);
}
static unsigned fake_graph_create(sw_cu_graph_exec *exec, sw_cu_graph graph, unsigned long long flags) {
    if (goes_wrong("edges")) tell_edges(graph);
    struct CUgraph_st *copy = calloc(1, sizeof *copy);
    if (!copy || !(copy->operations = malloc((size_t)(graph->n + 1) * sizeof *copy->operations)))
        return SW_CU_NO_MEMORY;
    memcpy(copy->operations, graph->operations, (size_t)graph->n * sizeof *copy->operations);
    copy->n = graph->n;
    *exec = (sw_cu_graph_exec)copy;
    return 0;
}
/* ---- Edges: the handle of a node is its operation ------------------------------------------------------------------ */

static unsigned fake_graph_node(sw_cu_graph_node node, sw_cu_node *params) {
    const operation *o = (const operation *)(const void *)node;
    *params = (sw_cu_node){.function = (sw_cu_function)o->kernel};
    return o->kernel ? 0 : BAD;
}
static unsigned fake_graph_edges(sw_cu_graph graph, sw_cu_graph_node *from, sw_cu_graph_node *to, sw_cu_edge *edges,
                                 size_t *n) {
    size_t found = 0;
    if (from && *n == 0) return BAD; /* as the driver does */
    for (int i = 0; i < graph->n; i++)
        for (int k = 0; k < graph->operations[i].n_waits; k++, found++) {
            if (!from) continue;
            if (found == *n) return BAD;
            from[found] = (sw_cu_graph_node)&graph->operations[graph->operations[i].waits[k]];
            to[found] = (sw_cu_graph_node)&graph->operations[i];
            edges[found] = graph->operations[i].edges[k];
        }
    return *n = found, 0;
}
/* The place of an edge among the waits of its end; as many as there are when there is none. */
static int find_edge(sw_cu_graph graph, const operation *from, const operation *to) {
    int k = 0;
    while (k < to->n_waits && &graph->operations[to->waits[k]] != from) k++;
    return k;
}
static unsigned fake_graph_remove_edges(sw_cu_graph graph, const sw_cu_graph_node *from, const sw_cu_graph_node *to,
                                        const sw_cu_edge *edges, size_t n) {
    for (size_t i = 0; i < n; i++) {
        operation *end = (operation *)(void *)to[i];
        int k = find_edge(graph, (const operation *)(const void *)from[i], end);
        if (k == end->n_waits || memcmp(&end->edges[k], &edges[i], sizeof *edges) != 0) return BAD;
        end->n_waits--;
        end->waits[k] = end->waits[end->n_waits];
        end->edges[k] = end->edges[end->n_waits];
    }
    return 0;
}
static unsigned fake_graph_add_edges(sw_cu_graph graph, const sw_cu_graph_node *from, const sw_cu_graph_node *to,
                                     const sw_cu_edge *edges, size_t n) {
    for (size_t i = 0; i < n; i++) {
        operation *end = (operation *)(void *)to[i], *begin = (operation *)(void *)from[i];
        bool programmatic = edges[i].type == SW_CU_EDGE_PROGRAMMATIC;
        if (find_edge(graph, begin, end) < end->n_waits || end->n_waits == MAX_WAITS ||
            programmatic != (edges[i].from_port == SW_CU_PORT_PROGRAMMATIC) ||
            (programmatic && (!begin->kernel || !end->kernel)))
            return BAD;
        end->waits[end->n_waits] = (int)(begin - graph->operations);
        end->edges[end->n_waits++] = edges[i];
    }
    return 0;
}

static unsigned fake_graph_destroy(sw_cu_graph graph) {
    free(graph->operations);
    return free(graph), 0;
}
static unsigned fake_graph_exec_destroy(sw_cu_graph_exec exec) {
    return fake_graph_destroy((sw_cu_graph)exec);
}
static unsigned fake_graph_launch(sw_cu_graph_exec exec, sw_cu_stream stream) {
    return perform_graph((sw_cu_graph)exec);
}
static unsigned fake_event_create(sw_cu_event *event, unsigned flags) {
    return (*event = calloc(1, sizeof **event)) ? 0 : SW_CU_NO_MEMORY;
}
static unsigned fake_event_destroy(sw_cu_event event) {
    return free(event), 0;
}
static unsigned fake_event_record(sw_cu_event event, sw_cu_stream stream) {
    if (!capturing) {
        libraries_ran = libraries_run, kernels_ran = kernels_run;
        libraries_run = kernels_run = false;
    }
    refresh(stream);
    return event->operation = stream->last, 0;
}
static unsigned fake_event_wait(sw_cu_event event) {
    return 0;
}
static unsigned fake_event_time(float *ms, sw_cu_event from, sw_cu_event to) {
    bool fast = goes_wrong("fast-library") || (goes_wrong("even-library") && !kernels_ran);
    return *ms = libraries_ran && fast ? 0.5f : 1, 0;
}

EXPORT unsigned cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags,
                                    void *found);
unsigned cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags, void *found) {
    static const struct {
        const char *symbol;
        void *function;
    } functions[] = {
#define ROW(field, name, wanted, arguments) {#name, (void *)fake_##field},
        SW_CU_LIST(ROW) SW_CU_NEWER_LIST(ROW)
#undef ROW
    };
    if (version > SW_CU_OLDEST && goes_wrong("cuda12.2")) return NOT_FOUND;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        size_t n = strlen(symbol);
        if (strncmp(functions[i].symbol, symbol, n)) continue;
        if (functions[i].symbol[n] && strcmp(functions[i].symbol + n, "_v2")) continue;
        return *function = functions[i].function, 0;
    }
    return NOT_FOUND;
}

/* ---- NVRTC: the "code" of a kernel is its name ---------------------------------------------------------------------- */

struct _nvrtcProgram {
    char name[64];
};

#define NVRTC(name, arguments)                                                                                         \
    EXPORT unsigned name arguments;                                                                                    \
    unsigned name arguments
NVRTC(nvrtcVersion, (int *major, int *minor)) {
    return *major = 13, *minor = 0, 0;
}
NVRTC(nvrtcCreateProgram, (sw_nvrtc_program * program, const char *text, const char *name, int n_headers,
                           const char *const *headers, const char *const *names)) {
    *program = calloc(1, sizeof **program);
    if (!*program || !*text || n_headers == 0) return BAD;
    return snprintf((*program)->name, sizeof(*program)->name, "%s", name), 0;
}
static bool take_variant(sw_nvrtc_program program, const char *suffix) {
    char variant[sizeof program->name];
    snprintf(variant, sizeof variant, "%.48s%s", program->name, suffix);
    if (emu_find(variant)) return memcpy(program->name, variant, sizeof variant), true;
    return false;
}
NVRTC(nvrtcCompileProgram, (sw_nvrtc_program program, int n_options, const char *const *options)) {
    bool floats = false, tf32 = false, old = false;
    for (int i = 0; i < n_options; i++) {
        if (!strcmp(options[i], "-DBF16")) take_variant(program, "_BF16");
        old |= strstr(options[i], "=sm_75") != NULL;
        floats |= !strcmp(options[i], "-DFLOATS"), tf32 |= !strcmp(options[i], "-DTF32");
    }
    if (old && !floats) take_variant(program, "_SM75");
    const char *kind = old ? "_FLOATS_SM75" : tf32 ? "_TF32" : "_FLOATS";
    if (floats && !take_variant(program, kind)) take_variant(program, "_FLOATS");
    return goes_wrong("nocompile") ? 6 : 0;
}
NVRTC(nvrtcGetProgramLogSize, (sw_nvrtc_program program, size_t *size)) {
    return *size = 32, 0;
}
NVRTC(nvrtcGetProgramLog, (sw_nvrtc_program program, char *log)) {
    return snprintf(log, 32, "unknown architecture\nmore"), 0;
}
NVRTC(nvrtcGetCUBINSize, (sw_nvrtc_program program, size_t *size)) {
    return *size = sizeof program->name, 0;
}
NVRTC(nvrtcGetCUBIN, (sw_nvrtc_program program, char *cubin)) {
    return memcpy(cubin, program->name, sizeof program->name), 0;
}
NVRTC(nvrtcDestroyProgram, (sw_nvrtc_program * program)) {
    return free(*program), 0;
}
