/* What Slipway calls of NVIDIA's driver (libcuda) and run-time compiler (libnvrtc): own prototypes, found at run time, so that
 * building needs no CUDA. Types have the tags of cuda.h; a test compares all of this with cuda.h where that is installed.
 * Enums are unsigned. */
#ifndef SLIPWAY_BACKEND_CUDA_DRIVER_H
#define SLIPWAY_BACKEND_CUDA_DRIVER_H

#include <stddef.h>

typedef struct CUctx_st *sw_cu_context;
typedef struct CUmod_st *sw_cu_module;
typedef struct CUfunc_st *sw_cu_function;
typedef struct CUstream_st *sw_cu_stream;
typedef struct CUevent_st *sw_cu_event;
typedef struct CUgraph_st *sw_cu_graph;
typedef struct CUgraphExec_st *sw_cu_graph_exec;
typedef struct CUgraphNode_st *sw_cu_graph_node;
typedef unsigned long long sw_cu_pointer;

/* As CUlaunchConfig and CUlaunchAttribute. */
typedef struct sw_cu_attribute {
    unsigned id;
    char pad[4];
    union {
        char room[64];
        int flag;
    } value;
} sw_cu_attribute;
/* As CUgraphEdgeData. */
typedef struct sw_cu_edge {
    unsigned char from_port, to_port, type, reserved[5];
} sw_cu_edge;
typedef struct sw_cu_launch {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    sw_cu_stream stream;
    sw_cu_attribute *attributes;
    unsigned n_attributes;
} sw_cu_launch;

enum {
    SW_CU_NO_MEMORY = 2,        /* CUDA_ERROR_OUT_OF_MEMORY */
    SW_CU_NO_DEVICE = 100,      /* CUDA_ERROR_NO_DEVICE */
    SW_CU_NO_BINARY = 209,      /* CUDA_ERROR_NO_BINARY_FOR_GPU */
    SW_CU_MULTIPROCESSORS = 16, /* CU_DEVICE_ATTRIBUTE_ ... */
    SW_CU_L2_BYTES = 38,
    SW_CU_SM_MAJOR = 75,
    SW_CU_SM_MINOR = 76,
    SW_CU_SHARED_BYTES = 8,   /* CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES */
    SW_CU_PROGRAMMATIC = 6,   /* CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION */
    SW_CU_EDGE_PROGRAMMATIC = 1, /* CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC */
    SW_CU_PORT_PROGRAMMATIC = 1, /* CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC */
    SW_CU_CAPTURE_THREAD = 1, /* CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */
    SW_CU_NON_BLOCKING = 1,   /* CU_STREAM_NON_BLOCKING */
    SW_CU_TIMING = 0,
    SW_CU_NO_TIMING = 2,  /* CU_EVENT_DEFAULT, CU_EVENT_DISABLE_TIMING */
    SW_CU_OLDEST = 12000, /* the driver that is needed: CUDA 12.0 */
};

/* X(field, symbol, version to ask for, arguments) */
#define SW_CU_LIST(X)                                                                                                  \
    X(init, cuInit, 2000, (unsigned flags))                                                                            \
    X(driver_version, cuDriverGetVersion, 2020, (int *version))                                                        \
    X(error_string, cuGetErrorString, 6000, (unsigned error, const char **text))                                       \
    X(device_count, cuDeviceGetCount, 2000, (int *n))                                                                  \
    X(device_get, cuDeviceGet, 2000, (int *device, int index))                                                         \
    X(device_name, cuDeviceGetName, 2000, (char *name, int size, int device))                                          \
    X(device_memory, cuDeviceTotalMem_v2, 3020, (size_t * bytes, int device))                                          \
    X(device_attribute, cuDeviceGetAttribute, 2000, (int *value, unsigned attribute, int device))                      \
    X(context_retain, cuDevicePrimaryCtxRetain, 7000, (sw_cu_context * context, int device))                           \
    X(context_release, cuDevicePrimaryCtxRelease_v2, 11000, (int device))                                              \
    X(context_set, cuCtxSetCurrent, 4000, (sw_cu_context context))                                                     \
    X(memory_info, cuMemGetInfo_v2, 3020, (size_t * free, size_t * total))                                             \
    X(memory_alloc, cuMemAlloc_v2, 3020, (sw_cu_pointer * at, size_t bytes))                                           \
    X(memory_free, cuMemFree_v2, 3020, (sw_cu_pointer at))                                                             \
    X(host_alloc, cuMemAllocHost_v2, 3020, (void **at, size_t bytes))                                                  \
    X(host_free, cuMemFreeHost, 2000, (void *at))                                                                      \
    X(host_register, cuMemHostRegister_v2, 6050, (void *at, size_t bytes, unsigned flags))                             \
    X(host_unregister, cuMemHostUnregister, 4000, (void *at))                                                          \
    X(copy_in, cuMemcpyHtoDAsync_v2, 3020, (sw_cu_pointer to, const void *from, size_t bytes, sw_cu_stream stream))    \
    X(copy_out, cuMemcpyDtoHAsync_v2, 3020, (void *to, sw_cu_pointer from, size_t bytes, sw_cu_stream stream))         \
    X(memory_set, cuMemsetD8Async, 3020, (sw_cu_pointer at, unsigned char value, size_t bytes, sw_cu_stream stream))   \
    X(module_load, cuModuleLoadData, 2000, (sw_cu_module * module, const void *image))                                 \
    X(module_unload, cuModuleUnload, 2000, (sw_cu_module module))                                                      \
    X(module_function, cuModuleGetFunction, 2000, (sw_cu_function * function, sw_cu_module module, const char *name))  \
    X(function_set, cuFuncSetAttribute, 9000, (sw_cu_function function, unsigned attribute, int value))                \
    X(launch, cuLaunchKernelEx, 11060,                                                                                 \
      (const sw_cu_launch *launch, sw_cu_function function, void **arguments, void **extra))                           \
    X(stream_create, cuStreamCreate, 2000, (sw_cu_stream * stream, unsigned flags))                                    \
    X(stream_destroy, cuStreamDestroy_v2, 4000, (sw_cu_stream stream))                                                 \
    X(stream_wait, cuStreamSynchronize, 2000, (sw_cu_stream stream))                                                   \
    X(stream_wait_event, cuStreamWaitEvent, 3020, (sw_cu_stream stream, sw_cu_event event, unsigned flags))            \
    X(capture_begin, cuStreamBeginCapture_v2, 10010, (sw_cu_stream stream, unsigned mode))                             \
    X(capture_end, cuStreamEndCapture, 10000, (sw_cu_stream stream, sw_cu_graph * graph))                              \
    X(graph_create, cuGraphInstantiateWithFlags, 11040,                                                                \
      (sw_cu_graph_exec * exec, sw_cu_graph graph, unsigned long long flags))                                          \
    X(graph_destroy, cuGraphDestroy, 10000, (sw_cu_graph graph))                                                       \
    X(graph_exec_destroy, cuGraphExecDestroy, 10000, (sw_cu_graph_exec exec))                                          \
    X(graph_launch, cuGraphLaunch, 10000, (sw_cu_graph_exec exec, sw_cu_stream stream))                                \
    X(event_create, cuEventCreate, 2000, (sw_cu_event * event, unsigned flags))                                        \
    X(event_destroy, cuEventDestroy_v2, 4000, (sw_cu_event event))                                                     \
    X(event_record, cuEventRecord, 2000, (sw_cu_event event, sw_cu_stream stream))                                     \
    X(event_wait, cuEventSynchronize, 2000, (sw_cu_event event))                                                       \
    X(event_time, cuEventElapsedTime, 2000, (float *ms, sw_cu_event from, sw_cu_event to))

/* As CUDA_KERNEL_NODE_PARAMS, second version. */
typedef struct sw_cu_node {
    sw_cu_function function;
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    void **arguments, **extra, *kernel, *context;
} sw_cu_node;

/* The same, NULL where the driver is older. */
#define SW_CU_NEWER_LIST(X)                                                                                            \
    X(graph_node, cuGraphKernelNodeGetParams_v2, 12000, (sw_cu_graph_node node, sw_cu_node * params))                  \
    X(graph_edges, cuGraphGetEdges_v2, 12030,                                                                          \
      (sw_cu_graph graph, sw_cu_graph_node * from, sw_cu_graph_node * to, sw_cu_edge * edges, size_t * n))             \
    X(graph_add_edges, cuGraphAddDependencies_v2, 12030,                                                               \
      (sw_cu_graph graph, const sw_cu_graph_node *from, const sw_cu_graph_node *to, const sw_cu_edge *edges,           \
       size_t n))                                                                                                      \
    X(graph_remove_edges, cuGraphRemoveDependencies_v2, 12030,                                                         \
      (sw_cu_graph graph, const sw_cu_graph_node *from, const sw_cu_graph_node *to, const sw_cu_edge *edges,           \
       size_t n))

typedef struct sw_cu_driver {
#define SW_CU_FIELD(field, symbol, version, arguments) unsigned(*field) arguments;
    SW_CU_LIST(SW_CU_FIELD)
    SW_CU_NEWER_LIST(SW_CU_FIELD)
#undef SW_CU_FIELD
} sw_cu_driver;

typedef struct _nvrtcProgram *sw_nvrtc_program;

/* X(field, symbol, arguments) */
#define SW_NVRTC_LIST(X)                                                                                               \
    X(version, nvrtcVersion, (int *major, int *minor))                                                                 \
    X(create, nvrtcCreateProgram,                                                                                      \
      (sw_nvrtc_program * program, const char *text, const char *name, int n_headers, const char *const *headers,      \
       const char *const *names))                                                                                      \
    X(compile, nvrtcCompileProgram, (sw_nvrtc_program program, int n_options, const char *const *options))             \
    X(log_size, nvrtcGetProgramLogSize, (sw_nvrtc_program program, size_t * size))                                     \
    X(log, nvrtcGetProgramLog, (sw_nvrtc_program program, char *log))                                                  \
    X(cubin_size, nvrtcGetCUBINSize, (sw_nvrtc_program program, size_t * size))                                        \
    X(cubin, nvrtcGetCUBIN, (sw_nvrtc_program program, char *cubin))                                                   \
    X(destroy, nvrtcDestroyProgram, (sw_nvrtc_program * program))

typedef struct sw_nvrtc {
#define SW_NVRTC_FIELD(field, symbol, arguments) unsigned(*field) arguments;
    SW_NVRTC_LIST(SW_NVRTC_FIELD)
#undef SW_NVRTC_FIELD
} sw_nvrtc;

#endif
