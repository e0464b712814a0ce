/* Any bytes: the importer ends with a graph that the verifier likes, or with a status and a sentence. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "import/tflite/tflite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const sw_message *message) {
    *(int *)ctx += message->severity == SW_ERROR;
}

static sw_status evaluate(const sw_call *call) {
    return sw_cpu_run(call, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!exact) return 0;
    if (size) memcpy(exact, data, size);
    int errors = 0;
    sw_diag diag = {count, &errors};
    sw_graph *graph;
    sw_status status = sw_tflite_parse(exact, size, "fuzz", evaluate, NULL, &diag, &graph);
    if ((status == SW_OK) != (graph != NULL) || (status == SW_OK) == (errors > 0)) abort();
    if (graph && sw_graph_verify(graph, &diag) != SW_OK) abort();
    if (graph && sw_graph_infer(graph, &diag) == SW_E_INTERNAL) abort();
    sw_graph_destroy(graph);
    free(exact);
    return 0;
}
