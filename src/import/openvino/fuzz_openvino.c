/* Any bytes: up to a zero byte the .xml, behind it the .bin. Ends with a graph that the verifier likes, or with a status and a
 * sentence. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "import/openvino/openvino.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const sw_message *message) {
    *(int *)ctx += message->severity == SW_ERROR;
}

static sw_status evaluate(const sw_call *call) {
    return sw_cpu_run(call, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t xml = zero ? (size_t)(zero - data) : size, bin = zero ? size - xml - 1 : 0;
    uint8_t *exact = malloc(xml ? xml : 1),
            *weights = malloc(bin ? bin : 1); /* so that a read behind the end is seen */
    if (exact && weights) {
        if (xml) memcpy(exact, data, xml);
        if (bin) memcpy(weights, zero + 1, bin);
        int errors = 0;
        sw_diag diag = {count, &errors};
        sw_graph *graph;
        sw_status status = sw_openvino_parse(exact, xml, weights, bin, "fuzz", evaluate, NULL, &diag, &graph);
        if ((status == SW_OK) != (graph != NULL) || (status == SW_OK) == (errors > 0)) abort();
        if (graph && sw_graph_verify(graph, &diag) != SW_OK) abort();
        sw_graph_destroy(graph);
    }
    free(exact);
    free(weights);
    return 0;
}
